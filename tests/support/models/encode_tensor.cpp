#include "support/models/encode_tensor.hpp"

#include "base/bfloat16.hpp"
#include "base/error.hpp"
#include "io/dequantize.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <span>

namespace longhaul::test {
namespace {

using Block = std::span<float const, 32>;

void append(std::string& bytes, std::uint16_t value) {
    bytes += static_cast<char>(value & 0xffU);
    bytes += static_cast<char>(value >> 8);
}

float append_scale(std::string& bytes, float scale) {
    std::uint16_t const half = float_to_half(scale);
    append(bytes, half);
    return half_to_float(half);
}

// A NaN in a block becomes the block's scale.
int quantum(float value, float scale, int low, int high) {
    float const steps = scale == 0.0F ? 0.0F : std::nearbyint(value / scale);
    return std::isnan(steps) ? 0
                             : static_cast<int>(std::clamp(steps, static_cast<float>(low),
                                                           static_cast<float>(high)));
}

bool any_nan(Block block) {
    return std::any_of(block.begin(), block.end(), [](float value) { return std::isnan(value); });
}

float largest_magnitude(Block block) {
    if (any_nan(block)) {
        return std::numeric_limits<float>::quiet_NaN();
    }
    return *std::max_element(block.begin(), block.end(),
                             [](float a, float b) { return std::fabs(a) < std::fabs(b); });
}

void append_nibbles(std::string& bytes, std::array<int, 32> const& quanta) {
    for (std::size_t i = 0; i < 16; ++i) {
        bytes += static_cast<char>(quanta[i] | quanta[i + 16] << 4);
    }
}

void append_q4_0(std::string& bytes, Block block) {
    // The extreme value takes the code -8, which has no positive partner.
    float const scale = append_scale(bytes, largest_magnitude(block) / -8.0F);
    std::array<int, 32> quanta{};
    std::transform(block.begin(), block.end(), quanta.begin(),
                   [&](float value) { return quantum(value, scale, -8, 7) + 8; });
    append_nibbles(bytes, quanta);
}

void append_q4_1(std::string& bytes, Block block) {
    auto const [low, high] = std::minmax_element(block.begin(), block.end());
    float const spread = any_nan(block) ? std::numeric_limits<float>::quiet_NaN() : *high - *low;
    float const scale = append_scale(bytes, spread / 15.0F);
    float const minimum = append_scale(bytes, *low);
    std::array<int, 32> quanta{};
    std::transform(block.begin(), block.end(), quanta.begin(),
                   [&](float value) { return quantum(value - minimum, scale, 0, 15); });
    append_nibbles(bytes, quanta);
}

void append_q8_0(std::string& bytes, Block block) {
    float const scale = append_scale(bytes, std::fabs(largest_magnitude(block)) / 127.0F);
    for (float const value : block) {
        bytes += static_cast<char>(quantum(value, scale, -127, 127));
    }
}

template <class Append>
std::string blocks(std::vector<float> const& values, Append append_block) {
    LH_EXPECT(values.size() % 32 == 0);
    std::string bytes;
    for (std::size_t i = 0; i < values.size(); i += 32) {
        append_block(bytes, Block(values.data() + i, 32));
    }
    return bytes;
}

template <class Convert>
std::string numbers(std::vector<float> const& values, Convert convert) {
    std::string bytes;
    for (float const value : values) {
        append(bytes, convert(value));
    }
    return bytes;
}

}  // namespace

std::uint16_t float_to_half(float value) {
    auto const bits = std::bit_cast<std::uint32_t>(value);
    auto const sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
    float const magnitude = std::fabs(value);
    if (std::isnan(value)) {
        return static_cast<std::uint16_t>(sign | 0x7e00U);
    }
    if (magnitude >= 65520.0F) {
        return static_cast<std::uint16_t>(sign | 0x7c00U);
    }
    if (magnitude < 0x1p-14F) {  // a subnormal half counts units of 2^-24
        return static_cast<std::uint16_t>(
            sign | static_cast<std::uint16_t>(std::nearbyint(magnitude * 0x1p24F)));
    }
    std::uint32_t const positive = bits & 0x7fffffffU;
    std::uint32_t const rounded = positive + 0xfffU + ((positive >> 13) & 1U);
    return static_cast<std::uint16_t>(sign | ((rounded - (112U << 23)) >> 13));
}

std::string encode_tensor(io::TensorType type, std::vector<float> const& values) {
    switch (type) {
        case io::TensorType::f32:
            return {reinterpret_cast<char const*>(values.data()), values.size() * sizeof(float)};
        case io::TensorType::f16:
            return numbers(values, float_to_half);
        case io::TensorType::bf16:
            return numbers(values, [](float value) { return to_bfloat16(value).bits; });
        case io::TensorType::q4_0:
            return blocks(values, append_q4_0);
        case io::TensorType::q4_1:
            return blocks(values, append_q4_1);
        case io::TensorType::q8_0:
            return blocks(values, append_q8_0);
    }
    return {};
}

std::vector<float> rounded_to_type(io::TensorType type, std::vector<float> const& values) {
    std::string const bytes = encode_tensor(type, values);
    std::vector<float> result(values.size());
    io::dequantize_row(type, reinterpret_cast<std::byte const*>(bytes.data()),
                       {0, static_cast<std::int64_t>(values.size())}, result.data());
    return result;
}

}  // namespace longhaul::test
