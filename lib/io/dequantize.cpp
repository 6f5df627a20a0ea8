#include "io/dequantize.hpp"

#include "base/bfloat16.hpp"
#include "base/checked.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace longhaul::io {
namespace {

static_assert(std::endian::native == std::endian::little,
              "weight files are read as they lie in memory");

constexpr std::int64_t kBlock = 32;

// Files promise no alignment that a cast would need.
template <class T>
T load(std::byte const* from) {
    T value;
    std::memcpy(&value, from, sizeof(value));
    return value;
}

float load_half(std::byte const* from) { return half_to_float(load<std::uint16_t>(from)); }

struct Q4Zero {
    static void decode(std::byte const* block, float* out) {
        float const scale = load_half(block);
        for (int i = 0; i < 16; ++i) {
            auto const pair = std::to_integer<int>(block[2 + i]);
            out[i] = scale * static_cast<float>((pair & 15) - 8);
            out[i + 16] = scale * static_cast<float>((pair >> 4) - 8);
        }
    }
};

struct Q4One {
    static void decode(std::byte const* block, float* out) {
        float const scale = load_half(block);
        float const minimum = load_half(block + 2);
        for (int i = 0; i < 16; ++i) {
            auto const pair = std::to_integer<int>(block[4 + i]);
            out[i] = scale * static_cast<float>(pair & 15) + minimum;
            out[i + 16] = scale * static_cast<float>(pair >> 4) + minimum;
        }
    }
};

struct Q8Zero {
    static void decode(std::byte const* block, float* out) {
        float const scale = load_half(block);
        for (int i = 0; i < 32; ++i) {
            out[i] = scale * static_cast<float>(load<std::int8_t>(block + 2 + i));
        }
    }
};

template <class Format>
void decode_blocks(std::byte const* row, std::int64_t block_bytes, Range elements, float* out) {
    for (std::int64_t at = elements.begin; at < elements.end;) {
        std::int64_t const block = at / kBlock;
        Range const inside{at - block * kBlock, std::min(kBlock, elements.end - block * kBlock)};
        if (inside == Range{0, kBlock}) {
            Format::decode(row + block * block_bytes, out);
        } else {
            float whole[kBlock];
            Format::decode(row + block * block_bytes, whole);
            std::copy(whole + inside.begin, whole + inside.end, out);
        }
        out += inside.size();
        at += inside.size();
    }
}

template <class Stored, class Convert>
void decode_numbers(std::byte const* row, Range elements, float* out, Convert convert) {
    std::byte const* from = row + elements.begin * static_cast<std::int64_t>(sizeof(Stored));
    for (std::int64_t i = 0; i < elements.size(); ++i) {
        out[i] = convert(load<Stored>(from + i * static_cast<std::int64_t>(sizeof(Stored))));
    }
}

}  // namespace

void dequantize_row(TensorType type, std::byte const* row, Range elements, float* out) {
    LH_EXPECT(elements.begin >= 0);
    if (elements.empty()) {
        return;
    }
    std::int64_t const block_bytes = block_shape(type).bytes;
    switch (type) {
        case TensorType::f32:
            std::memcpy(out, row + elements.begin * 4,
                        static_cast<std::size_t>(elements.size()) * 4);
            break;
        case TensorType::f16:
            decode_numbers<std::uint16_t>(row, elements, out, half_to_float);
            break;
        case TensorType::bf16:
            decode_numbers<std::uint16_t>(row, elements, out,
                                          [](std::uint16_t bits) { return to_float({bits}); });
            break;
        case TensorType::q4_0:
            decode_blocks<Q4Zero>(row, block_bytes, elements, out);
            break;
        case TensorType::q4_1:
            decode_blocks<Q4One>(row, block_bytes, elements, out);
            break;
        case TensorType::q8_0:
            decode_blocks<Q8Zero>(row, block_bytes, elements, out);
            break;
    }
}

}  // namespace longhaul::io
