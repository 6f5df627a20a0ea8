// The real model, where scripts/fetch_model.sh has put it.
#include "io/model_file.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace longhaul::io {
namespace {

constexpr char const* kPath = "models/smollm2-135m/model.gguf";

struct Expected {
    std::int64_t row;
    std::int64_t col;
    std::vector<float> values;
};

// Numbers of the PyPI package gguf 0.17 (dequantize; Q and K rows put into the half-split order).
TEST(SmolLm2, GivesThePackagesNumbers) {
    if (!std::filesystem::exists(kPath)) {
        GTEST_SKIP() << "no " << kPath << "; scripts/fetch_model.sh fetches it";
    }
    std::unique_ptr<ModelFile> const model = ModelFile::open(kPath);
    auto const expect_layer = [&](LayerTensor tensor, std::int64_t layer,
                                  Expected const& expected) {
        auto const size = static_cast<std::int64_t>(expected.values.size());
        std::vector<float> out(expected.values.size());
        model->read(tensor, layer, {expected.row, expected.row + 1},
                    {expected.col, expected.col + size}, out.data(), size);
        EXPECT_EQ(out, expected.values);
    };
    expect_layer(LayerTensor::q, 3,
                 {33, 100, {-0x1.a3p-5F, 0x1.0ecp-3F, 0x1.0ecp-3F, -0x1.248p-3F}});
    expect_layer(LayerTensor::k, 29,
                 {130, 62, {-0x1.2ep-7F, 0x1.298p-4F, -0x1.636p-4F, 0x1.698p-6F}});
    expect_layer(LayerTensor::down, 7,
                 {575, 1500, {0x1.724p-5F, 0x1.227p-3F, 0x1.724p-5F, -0x1.a54p-5F}});
    std::vector<float> out(6);
    model->read(GlobalTensor::lm_head, {49'151, 49'152}, {30, 36}, out.data(),
                6);  // tied: the Q8_0 embedding
    EXPECT_EQ(out, (std::vector<float>{-0x1.79p-7F, 0x1.760ep-1F, 0x1.788p-5F, 0x1.883p-4F,
                                       -0x1.4198p-3F, 0x1.ab7cp-2F}));
    out.resize(4);
    model->read(GlobalTensor::output_norm, {0, 1}, {570, 574}, out.data(), 4);
    EXPECT_EQ(out, (std::vector<float>{0x1.b8p+0F, 0x1.24p+1F, 0x1.eap+0F, 0x1.e2p+0F}));
}

TEST(SmolLm2, ConfigurationAndTokenizer) {
    if (!std::filesystem::exists(kPath)) {
        GTEST_SKIP() << "no " << kPath << "; scripts/fetch_model.sh fetches it";
    }
    std::unique_ptr<ModelFile> const model = ModelFile::open(kPath);
    ModelConfig const& config = model->config();
    EXPECT_EQ(config.num_layers, 30);
    EXPECT_EQ(config.hidden_dim, 576);
    EXPECT_EQ(config.num_heads, 9);
    EXPECT_EQ(config.num_kv_heads, 3);
    EXPECT_EQ(config.head_dim, 64);
    EXPECT_EQ(config.vocab_size, 49'152);
    EXPECT_EQ(config.rope_theta, 100'000.0);
    EXPECT_TRUE(config.tied_embeddings);
    EXPECT_EQ(model->tokenizer().tokens.at(static_cast<std::size_t>(config.eos_tokens.at(0))),
              "<|im_end|>");
    EXPECT_EQ(model->tokenizer().merges.size(), 48'900U);
    EXPECT_EQ(model->tensors().size(), 272U);
}

}  // namespace
}  // namespace longhaul::io
