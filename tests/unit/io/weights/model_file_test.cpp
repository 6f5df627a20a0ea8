#include "io/model_file.hpp"

#include "support/models/tiny_tokenizer.hpp"
#include "unit/io/weights/weights_support.hpp"

#include <random>

namespace longhaul::io {
namespace {

using test::TinyModelSpec;

std::vector<TinyModelSpec> specs() {
    std::vector<TinyModelSpec> result;
    for (TensorType const type : {TensorType::f32, TensorType::f16, TensorType::bf16,
                                  TensorType::q4_0, TensorType::q4_1, TensorType::q8_0}) {
        TinyModelSpec spec;  // grouped heads, everything in whole blocks except the FFN
        spec.num_layers = 2;
        spec.num_heads = 6;
        spec.hidden_dim = 160;
        spec.type = type;
        result.push_back(spec);
    }
    TinyModelSpec
        odd;  // rows that are no whole blocks stay F32; MQA; a head wider than hidden / heads
    odd.num_layers = 1;
    odd.num_kv_heads = 1;
    odd.head_dim = 40;
    odd.type = TensorType::q4_0;
    odd.tied = false;
    result.push_back(odd);
    TinyModelSpec mha;
    mha.num_layers = 3;
    mha.num_heads = mha.num_kv_heads = 2;
    mha.head_dim = 8;
    mha.hidden_dim = 16;
    mha.vocab_size = 300;
    mha.tied = false;
    mha.seed = 9;
    result.push_back(mha);
    return result;
}

// Reads random slices with a padded leading dimension and compares them with the whole as it was generated.
template <class Read>
void expect_slices(TensorShape shape, std::vector<float> const& whole, std::mt19937& random,
                   Read read) {
    auto const range = [&](std::int64_t size) {
        auto const a = static_cast<std::int64_t>(random() % static_cast<unsigned>(size + 1));
        auto const b = static_cast<std::int64_t>(random() % static_cast<unsigned>(size + 1));
        return Range{std::min(a, b), std::max(a, b)};
    };
    for (int trial = 0; trial < 6; ++trial) {
        Range const rows = trial == 0 ? Range{0, shape.rows} : range(shape.rows);
        Range const cols = trial == 0 ? Range{0, shape.cols} : range(shape.cols);
        std::int64_t const ld = cols.size() + trial;
        std::vector<float> out(static_cast<std::size_t>(rows.size() * ld), -99.0F);
        read(rows, cols, out.data(), ld);
        for (std::int64_t r = 0; r < rows.size(); ++r) {
            for (std::int64_t c = 0; c < ld; ++c) {
                float const expected = c < cols.size()
                                           ? whole[static_cast<std::size_t>(
                                                 (rows.begin + r) * shape.cols + cols.begin + c)]
                                           : -99.0F;
                ASSERT_EQ(out[static_cast<std::size_t>(r * ld + c)], expected)
                    << "row " << r << " column " << c;
            }
        }
    }
}

void expect_model(ModelFile const& model, TinyModelSpec const& spec) {
    ModelConfig const& config = model.config();
    ModelConfig const expected = test::tiny_config(spec);
    EXPECT_EQ(config.architecture, "llama");
    EXPECT_EQ(config.num_layers, expected.num_layers);
    EXPECT_EQ(config.hidden_dim, expected.hidden_dim);
    EXPECT_EQ(config.num_heads, expected.num_heads);
    EXPECT_EQ(config.num_kv_heads, expected.num_kv_heads);
    EXPECT_EQ(config.head_dim, expected.head_dim);
    EXPECT_EQ(config.ffn_dim, expected.ffn_dim);
    EXPECT_EQ(config.vocab_size, expected.vocab_size);
    EXPECT_EQ(config.trained_context, expected.trained_context);
    EXPECT_EQ(config.rms_epsilon, expected.rms_epsilon);
    EXPECT_EQ(config.rope_theta, expected.rope_theta);
    EXPECT_EQ(config.tied_embeddings, spec.tied);
    EXPECT_EQ(config.bos_token, test::kImStart);
    EXPECT_EQ(config.eos_tokens, std::vector<TokenId>{test::kImEnd});
    EXPECT_EQ(model.has(GlobalTensor::lm_head), !spec.tied);

    std::mt19937 random(static_cast<unsigned>(spec.seed));
    for (int i = 0; i < 3; ++i) {
        auto const tensor = static_cast<GlobalTensor>(i);
        expect_slices(expected_shape(config, tensor), test::tiny_weights(spec, tensor), random,
                      [&](Range rows, Range cols, float* out, std::int64_t ld) {
                          model.read(tensor, rows, cols, out, ld);
                      });
    }
    for (std::int64_t layer = 0; layer < spec.num_layers; ++layer) {
        for (int i = 0; i < 9; ++i) {
            auto const tensor = static_cast<LayerTensor>(i);
            SCOPED_TRACE(model.info(tensor, layer).name);
            EXPECT_TRUE(model.has(tensor, layer));
            expect_slices(expected_shape(config, tensor), test::tiny_weights(spec, tensor, layer),
                          random, [&](Range rows, Range cols, float* out, std::int64_t ld) {
                              model.read(tensor, layer, rows, cols, out, ld);
                          });
        }
    }
}

TEST(ModelFile, BothFormatsGiveTheGeneratedNumbers) {
    for (TinyModelSpec const& spec : specs()) {
        SCOPED_TRACE(tensor_type_name(spec.type));
        test::ScratchFolder const folder;
        test::write_gguf(spec, folder / "model.gguf");
        test::write_safetensors_folder(spec, folder / "hf");
        std::unique_ptr<ModelFile> const gguf = ModelFile::open(folder / "model.gguf");
        std::unique_ptr<ModelFile> const hf = ModelFile::open(folder / "hf");
        EXPECT_STREQ(gguf->format(), "GGUF");
        EXPECT_STREQ(hf->format(), "safetensors");
        EXPECT_EQ(gguf->info(LayerTensor::q, 0).type, test::stored_type(spec, 2, spec.hidden_dim));
        expect_model(*gguf, spec);
        expect_model(*hf, spec);
        expect_model(*ModelFile::open(folder / "hf/model.safetensors"), spec);
    }
}

TEST(ModelFile, CarriesTheTokenizer) {
    TinyModelSpec const spec;
    test::ScratchFolder const folder;
    test::write_gguf(spec, folder / "model.gguf");
    test::write_safetensors_folder(spec, folder / "hf");
    TokenizerData const gguf = ModelFile::open(folder / "model.gguf")->tokenizer();
    EXPECT_EQ(gguf.tokens, test::tiny_tokenizer(spec.vocab_size).tokens);
    EXPECT_EQ(gguf.merges, test::tiny_tokenizer(spec.vocab_size).merges);
    EXPECT_EQ(gguf.token_types.size(), gguf.tokens.size());
    EXPECT_EQ(gguf.token_types[0], 3);
    EXPECT_EQ(gguf.model, "gpt2");
    EXPECT_EQ(gguf.pre, "smollm");
    EXPECT_EQ(gguf.bos, 1);
    EXPECT_EQ(gguf.eos, 2);
    EXPECT_EQ(gguf.chat_template, test::tiny_chat_template());
    EXPECT_TRUE(gguf.tokenizer_json.empty());
    TokenizerData const hf = ModelFile::open(folder / "hf")->tokenizer();
    EXPECT_EQ(hf.tokenizer_json, folder / "hf/tokenizer.json");
    EXPECT_TRUE(hf.tokens.empty());
    EXPECT_EQ(hf.bos, 1);
    EXPECT_EQ(hf.eos, 2);
    EXPECT_EQ(hf.chat_template, test::tiny_chat_template());
}

TEST(ModelFile, TheFingerprintTellsModelsApart) {
    test::ScratchFolder const folder;
    auto const fingerprint = [&](TinyModelSpec const& spec, std::string const& name) {
        test::write_gguf(spec, folder / name);
        return ModelFile::open(folder / name)->fingerprint();
    };
    TinyModelSpec const spec;
    std::string const original = fingerprint(spec, "a.gguf");
    EXPECT_EQ(original.size(), 32U);
    EXPECT_EQ(fingerprint(spec, "renamed.gguf"), original);
    TinyModelSpec other = spec;
    other.seed = 2;  // the same header, other numbers
    EXPECT_NE(fingerprint(other, "b.gguf"), original);
    other = spec;
    other.rope_theta = 20'000;
    EXPECT_NE(fingerprint(other, "b.gguf"), original);
    test::write_safetensors_folder(spec, folder / "hf");
    EXPECT_NE(ModelFile::open(folder / "hf")->fingerprint(), original);
}

TEST(ModelFile, NanWeightsAreReadAsTheyAre) {
    TinyModelSpec spec;
    spec.nan_norm = true;
    spec.nan_token = 70;
    test::ScratchFolder const folder;
    test::write_gguf(spec, folder / "model.gguf");
    std::unique_ptr<ModelFile> const model = ModelFile::open(folder / "model.gguf");
    float value = 0;
    model->read(GlobalTensor::output_norm, {0, 1}, {0, 1}, &value, 1);
    EXPECT_TRUE(std::isnan(value));
    model->read(GlobalTensor::token_embedding, {70, 71}, {0, 1}, &value, 1);
    EXPECT_TRUE(std::isnan(value));
    model->read(GlobalTensor::token_embedding, {71, 72}, {0, 1}, &value, 1);
    EXPECT_FALSE(std::isnan(value));
}

}  // namespace
}  // namespace longhaul::io
