#include "base/error.hpp"
#include "io/model_file.hpp"
#include "support/models/tiny_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <filesystem>
#include <set>

namespace longhaul::io {
namespace {

class RandomModel : public testing::Test {
  protected:
    RandomModel()
        : folder_(std::filesystem::temp_directory_path() /
                  ("longhaul-random-" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(folder_);
        test::write_file(folder_ / "config.json", test::tiny_config_json(spec_));
    }
    ~RandomModel() override { std::filesystem::remove_all(folder_); }

    std::vector<float> read(ModelFile const& file, LayerTensor tensor, std::int64_t layer,
                            Range rows, Range cols) {
        std::vector<float> out(static_cast<std::size_t>(rows.size() * cols.size()));
        file.read(tensor, layer, rows, cols, out.data(), cols.size());
        return out;
    }

    test::TinyModelSpec spec_;
    std::filesystem::path folder_;
};

TEST_F(RandomModel, IsAsLongAsItsConfigurationSays) {
    auto const file = ModelFile::open_random(folder_, 1);
    EXPECT_TRUE(file->is_random());
    EXPECT_STREQ(file->format(), "random weights");
    EXPECT_EQ(file->config().num_layers, spec_.num_layers);
    EXPECT_TRUE(file->tensors().empty());
    EXPECT_EQ(file->file_bytes(), 0);
}

TEST_F(RandomModel, MatricesAreDeviatesOfTheirWidthAndNormsAreOnes) {
    auto const file = ModelFile::open_random(folder_, 1);
    std::set<float> first;
    std::int64_t matrices = 0;
    for (std::int64_t layer = 0; layer < spec_.num_layers; ++layer) {
        for (LayerTensor const tensor :
             {LayerTensor::q, LayerTensor::k, LayerTensor::v, LayerTensor::o, LayerTensor::gate,
              LayerTensor::up, LayerTensor::down}) {
            TensorShape const shape = expected_shape(file->config(), tensor);
            std::vector<float> const all =
                read(*file, tensor, layer, {0, shape.rows}, {0, shape.cols});
            double squares = 0.0;
            for (float const value : all) {
                squares += value * value;
            }
            EXPECT_NEAR(squares / static_cast<double>(shape.rows), 1.0, 0.1);
            first.insert(all.front());
            ++matrices;
        }
        EXPECT_THAT(read(*file, LayerTensor::attn_norm, layer, {0, 1}, {0, spec_.hidden_dim}),
                    testing::Each(1.0F));
    }
    EXPECT_GE(static_cast<std::int64_t>(first.size()), matrices - 1);
}

TEST_F(RandomModel, ASliceIsTheSliceOfTheWhole) {
    auto const file = ModelFile::open_random(folder_, 9);
    TensorShape const shape = expected_shape(file->config(), LayerTensor::down);
    std::vector<float> const all =
        read(*file, LayerTensor::down, 2, {0, shape.rows}, {0, shape.cols});
    Range const rows{3, shape.rows - 4};
    Range const cols{8, 31};
    std::vector<float> const part = read(*file, LayerTensor::down, 2, rows, cols);
    for (std::int64_t row = 0; row < rows.size(); ++row) {
        for (std::int64_t col = 0; col < cols.size(); ++col) {
            ASSERT_EQ(
                part[static_cast<std::size_t>(row * cols.size() + col)],
                all[static_cast<std::size_t>((rows.begin + row) * shape.cols + cols.begin + col)]);
        }
    }
}

TEST_F(RandomModel, ATiedHeadIsTheEmbedding) {
    auto const file = ModelFile::open_random(folder_, 1);
    ASSERT_TRUE(file->config().tied_embeddings);
    std::vector<float> embedding(static_cast<std::size_t>(spec_.hidden_dim));
    std::vector<float> head(embedding.size());
    file->read(GlobalTensor::token_embedding, {5, 6}, {0, spec_.hidden_dim}, embedding.data(),
               spec_.hidden_dim);
    file->read(GlobalTensor::lm_head, {5, 6}, {0, spec_.hidden_dim}, head.data(), spec_.hidden_dim);
    EXPECT_EQ(embedding, head);
}

TEST_F(RandomModel, SeedsHaveFingerprintsOfTheirOwn) {
    std::string const one = ModelFile::open_random(folder_, 1)->fingerprint();
    EXPECT_EQ(one, ModelFile::open_random(folder_, 1)->fingerprint());
    EXPECT_NE(one, ModelFile::open_random(folder_, 2)->fingerprint());
}

TEST_F(RandomModel, AFolderWithoutWeightsNamesTheRemedy) {
    try {
        static_cast<void>(ModelFile::open(folder_));
        FAIL() << "opened";
    } catch (ValidationError const& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("--random-weights"));
        EXPECT_THAT(error.what(), testing::HasSubstr("no weights"));
    }
    EXPECT_THROW(static_cast<void>(ModelFile::open_random(folder_ / "none", 1)), ValidationError);
}

}  // namespace
}  // namespace longhaul::io
