#include "io/dequantize.hpp"

#include "support/models/encode_tensor.hpp"
#include "unit/io/weights/golden_blocks.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <vector>

namespace longhaul::io {
namespace {

struct Golden {
    TensorType type;
    std::span<std::uint8_t const> stored;
    std::span<float const> numbers;
};

std::vector<Golden> goldens() {
    using namespace longhaul::test;
    return {
        {TensorType::f32, kStoredF32, kNumbersF32},    {TensorType::f16, kStoredF16, kNumbersF16},
        {TensorType::bf16, kStoredBF16, kNumbersBF16}, {TensorType::q4_0, kStoredQ40, kNumbersQ40},
        {TensorType::q4_1, kStoredQ41, kNumbersQ41},   {TensorType::q8_0, kStoredQ80, kNumbersQ80}};
}

std::vector<float> decode(TensorType type, std::byte const* row, Range elements) {
    std::vector<float> out(static_cast<std::size_t>(elements.size()) + 1, -7.0F);
    dequantize_row(type, row, elements, out.data());
    EXPECT_EQ(out.back(), -7.0F) << "wrote past the end";
    out.pop_back();
    return out;
}

bool same_bits(std::span<float const> a, std::span<float const> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

TEST(Dequantize, GivesThePackagesNumbers) {
    for (Golden const& golden : goldens()) {
        auto const* row = reinterpret_cast<std::byte const*>(golden.stored.data());
        std::vector<float> const out =
            decode(golden.type, row, {0, static_cast<std::int64_t>(golden.numbers.size())});
        EXPECT_TRUE(same_bits(out, golden.numbers)) << tensor_type_name(golden.type);
    }
}

TEST(Dequantize, HandMadeBlocks) {
    // d = 0.5 (0x3800), m = -1 (0xbc00); byte 0 holds weight 0 (low nibble) and weight 16 (high nibble).
    std::vector<std::uint8_t> q4_0(18, 0x88);
    q4_0[0] = 0x00, q4_0[1] = 0x38, q4_0[2] = 0xf1;
    std::vector<float> out =
        decode(TensorType::q4_0, reinterpret_cast<std::byte const*>(q4_0.data()), {0, 32});
    EXPECT_EQ(out[0], 0.5F * (1 - 8));
    EXPECT_EQ(out[16], 0.5F * (15 - 8));
    EXPECT_EQ(out[1], 0.0F);

    std::vector<std::uint8_t> q4_1(20, 0x00);
    q4_1[1] = 0x38, q4_1[3] = 0xbc, q4_1[4 + 15] = 0x2f;
    out = decode(TensorType::q4_1, reinterpret_cast<std::byte const*>(q4_1.data()), {0, 32});
    EXPECT_EQ(out[15], 0.5F * 15 - 1);
    EXPECT_EQ(out[31], 0.5F * 2 - 1);
    EXPECT_EQ(out[0], -1.0F);

    std::vector<std::uint8_t> q8_0(34, 0x00);
    q8_0[1] = 0x38, q8_0[2] = 0x80, q8_0[33] = 0x7f;
    out = decode(TensorType::q8_0, reinterpret_cast<std::byte const*>(q8_0.data()), {0, 32});
    EXPECT_EQ(out[0], -64.0F);
    EXPECT_EQ(out[31], 63.5F);
}

// Any slice, at any alignment of the row, is the slice of the whole.
TEST(Dequantize, SlicesNeedNotMeetBlocks) {
    std::mt19937 random(42);
    constexpr std::int64_t kCols = 160;
    for (Golden const& golden : goldens()) {
        BlockShape const block = block_shape(golden.type);
        std::vector<std::byte> stored(
            static_cast<std::size_t>(kCols / block.elements * block.bytes + 1));
        for (std::byte& byte : stored) {
            byte = static_cast<std::byte>(random());
        }
        std::byte const* row = stored.data() + 1;
        std::vector<float> const whole = decode(golden.type, row, {0, kCols});
        for (int trial = 0; trial < 300; ++trial) {
            auto const begin = static_cast<std::int64_t>(random() % (kCols + 1));
            auto const end = begin + static_cast<std::int64_t>(
                                         random() % static_cast<unsigned>(kCols - begin + 1));
            std::vector<float> const slice = decode(golden.type, row, {begin, end});
            EXPECT_TRUE(same_bits(
                slice, std::span(whole).subspan(static_cast<std::size_t>(begin), slice.size())))
                << tensor_type_name(golden.type) << " [" << begin << ", " << end << ")";
        }
    }
}

// The test models' quantiser and the reader agree: what comes back is near, and a second round changes nothing but the
// last bits of a scale.
TEST(Dequantize, ReadsWhatTheTestModelsWrite) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    std::vector<float> values(320);
    for (float& value : values) {
        value = normal(random);
    }
    struct Case {
        TensorType type;
        float tolerance;
    };
    for (auto const& [type, tolerance] :
         {Case{TensorType::f32, 0.0F}, Case{TensorType::f16, 2e-3F}, Case{TensorType::bf16, 2e-2F},
          Case{TensorType::q4_0, 0.5F}, Case{TensorType::q4_1, 0.25F},
          Case{TensorType::q8_0, 0.02F}}) {
        std::vector<float> const back = test::rounded_to_type(type, values);
        for (std::size_t i = 0; i < values.size(); ++i) {
            EXPECT_LE(std::fabs(back[i] - values[i]), tolerance) << tensor_type_name(type);
        }
    }
}

}  // namespace
}  // namespace longhaul::io
