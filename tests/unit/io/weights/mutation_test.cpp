// Damaged files either open and read without fault, or are refused with a ValidationError. The fuzz targets go further;
// this runs everywhere.
#include "io/model_file.hpp"
#include "support/models/gguf_writer.hpp"
#include "unit/io/weights/weights_support.hpp"

#include <functional>
#include <random>

namespace longhaul::io {
namespace {

constexpr int kMutations = 2000;

test::TinyModelSpec small_spec() {
    test::TinyModelSpec spec;
    spec.num_layers = 1;
    spec.num_heads = 2;
    spec.num_kv_heads = 1;
    spec.head_dim = 8;
    spec.hidden_dim = 32;
    spec.ffn_dim = 32;
    spec.type = TensorType::q4_1;
    return spec;
}

void read_slices(ModelFile const& model) {
    ModelConfig const& config = model.config();
    std::vector<float> out;
    auto const corner = [&](TensorShape shape, auto read) {
        Range const rows{shape.rows - 1, shape.rows};
        Range const cols{shape.cols / 2, shape.cols};
        out.resize(static_cast<std::size_t>(cols.size()));
        read(rows, cols);
    };
    for (int i = 0; i < 3; ++i) {
        auto const tensor = static_cast<GlobalTensor>(i);
        corner(expected_shape(config, tensor), [&](Range rows, Range cols) {
            model.read(tensor, rows, cols, out.data(), cols.size());
        });
    }
    for (int i = 0; i < 9; ++i) {
        auto const tensor = static_cast<LayerTensor>(i);
        corner(expected_shape(config, tensor), [&](Range rows, Range cols) {
            model.read(tensor, config.num_layers - 1, rows, cols, out.data(), cols.size());
        });
    }
    static_cast<void>(model.fingerprint());
}

// True when the file opened; any exception but ValidationError fails the test.
bool survives(std::filesystem::path const& path) {
    return test::refusal([&] { read_slices(*ModelFile::open(path)); }).empty();
}

std::string mutated(std::string bytes, std::int64_t header, std::mt19937_64& random) {
    auto size = static_cast<std::uint64_t>(header);
    int const changes = 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < changes; ++i) {
        std::uint64_t const at = random() % size;
        switch (random() % 4) {
            case 0:
                bytes[at] = static_cast<char>(bytes[at] ^ (1 << (random() % 8)));
                break;
            case 1:
                bytes[at] = static_cast<char>(random());
                break;
            case 2: {  // a huge or odd number
                std::uint64_t const numbers[] = {0,
                                                 1,
                                                 ~std::uint64_t{0},
                                                 std::uint64_t{1} << 63,
                                                 std::uint64_t{1} << 32,
                                                 ~std::uint64_t{0} >> 1,
                                                 random()};
                std::string const number = test::le_bytes(numbers[random() % 7]);
                bytes.replace(at, std::min<std::size_t>(8, bytes.size() - at), number);
                break;
            }
            default:
                bytes.erase(at, 1 + random() % 16);
                size = std::min<std::uint64_t>(size, bytes.size());
                break;
        }
    }
    return bytes;
}

TEST(Mutations, OfGguf) {
    test::ScratchFolder const folder;
    std::vector<std::int64_t> boundaries;
    std::string const good = test::tiny_gguf_bytes(small_spec(), &boundaries);
    ASSERT_TRUE(survives(folder.put("model.gguf", good)));
    // The header ends where the first tensor's data begins; its last boundary comes before.
    std::int64_t header = 0;
    for (std::int64_t const boundary : boundaries) {
        for (std::int64_t const at : {boundary - 1, boundary, boundary + 1}) {
            if (at < static_cast<std::int64_t>(good.size())) {
                EXPECT_FALSE(survives(
                    folder.put("model.gguf", good.substr(0, static_cast<std::size_t>(at)))))
                    << at;
            }
        }
        header = boundary < 12'000 ? std::max(header, boundary) : header;
    }
    std::mt19937_64 random(1);
    int opened = 0;
    for (int i = 0; i < kMutations; ++i) {
        SCOPED_TRACE(i);
        opened += survives(folder.put("model.gguf", mutated(good, header, random))) ? 1 : 0;
    }
    EXPECT_GT(opened, kMutations / 50);  // names and texts may change without harm
    EXPECT_LT(opened, kMutations / 2);
}

TEST(Mutations, OfSafetensors) {
    test::ScratchFolder const folder;
    static_cast<void>(folder.put("config.json", test::tiny_config_json(small_spec())));
    std::string const good = test::tiny_safetensors_bytes(small_spec());
    std::filesystem::path const path = folder / "model.safetensors";
    auto const put = [&](std::string const& bytes) {
        return folder.put("model.safetensors", bytes);
    };
    ASSERT_TRUE(survives(put(good)));
    std::int64_t const header =
        8 + static_cast<std::int64_t>(static_cast<unsigned char>(good[0]) +
                                      256 * static_cast<unsigned char>(good[1]));
    for (std::int64_t at = 0; at < header; at += 3) {
        EXPECT_FALSE(survives(put(good.substr(0, static_cast<std::size_t>(at))))) << at;
    }
    EXPECT_FALSE(survives(put(good.substr(0, good.size() - 1))));
    std::mt19937_64 random(2);
    int opened = 0;
    for (int i = 0; i < kMutations; ++i) {
        SCOPED_TRACE(i);
        opened += survives(put(mutated(good, header, random))) ? 1 : 0;
    }
    EXPECT_GT(opened, 0);
    EXPECT_LT(opened, kMutations / 2);
}

TEST(Mutations, OfConfigJson) {
    test::ScratchFolder const folder;
    static_cast<void>(folder.put("model.safetensors", test::tiny_safetensors_bytes(small_spec())));
    std::string const good = test::tiny_config_json(small_spec());
    auto const put = [&](std::string const& bytes) {
        static_cast<void>(folder.put("config.json", bytes));
        return folder / "model.safetensors";
    };
    ASSERT_TRUE(survives(put(good)));
    std::mt19937_64 random(3);
    for (int i = 0; i < kMutations / 4; ++i) {
        SCOPED_TRACE(i);
        static_cast<void>(
            survives(put(mutated(good, static_cast<std::int64_t>(good.size()), random))));
    }
}

}  // namespace
}  // namespace longhaul::io
