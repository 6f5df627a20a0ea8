#pragma once

#include "base/bfloat16.hpp"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

namespace longhaul::kernels::cuda {

/// Words that memory is read and written in: 16 bytes at a time is what a GPU's memory system is fastest with.
template <int kBytes>
struct WordOf;
template <>
struct WordOf<16> {
    using type = uint4;
};
template <>
struct WordOf<8> {
    using type = uint2;
};
template <>
struct WordOf<4> {
    using type = std::uint32_t;
};
template <>
struct WordOf<2> {
    using type = std::uint16_t;
};

/// Bytes of one access when `count` elements lie together.
template <class T>
[[nodiscard]] constexpr int access_bytes(int count) {
    int const bytes = count * static_cast<int>(sizeof(T));
    return bytes < 16 ? bytes : 16;
}

__device__ inline float widen(float value) { return value; }
__device__ inline float widen(BFloat16 value) {
    return __uint_as_float(static_cast<std::uint32_t>(value.bits) << 16);
}

/// For instructions that take addresses of shared memory.
__device__ inline std::uint32_t shared_address(void const* pointer) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Two bf16, `low` at the lower address.
__device__ inline std::uint32_t pack_bf16(float low, float high) {
    __nv_bfloat162 const pair = __floats2bfloat162_rn(low, high);
    std::uint32_t bits = 0;
    memcpy(&bits, &pair, sizeof(bits));
    return bits;
}

__device__ inline void store_one(float* to, float value) { *to = value; }
__device__ inline void store_one(BFloat16* to, float value) {
    to->bits = __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

/// kCount elements from an address that is a multiple of access_bytes<T>(kCount).
template <int kCount, class T>
__device__ inline void load(T const* from, float (&to)[kCount]) {
    constexpr int kBytes = access_bytes<T>(kCount);
    constexpr int kEach = kBytes / static_cast<int>(sizeof(T));
    using Word = typename WordOf<kBytes>::type;
#pragma unroll
    for (int i = 0; i < kCount; i += kEach) {
        Word const word = *reinterpret_cast<Word const*>(from + i);
        T elements[kEach];
        memcpy(elements, &word, kBytes);
#pragma unroll
        for (int e = 0; e < kEach; ++e) {
            to[i + e] = widen(elements[e]);
        }
    }
}

/// The same the other way, rounded to nearest even.
template <int kCount, class T>
__device__ inline void store(T* to, float const (&from)[kCount]) {
    constexpr int kBytes = access_bytes<T>(kCount);
    constexpr int kEach = kBytes / static_cast<int>(sizeof(T));
    using Word = typename WordOf<kBytes>::type;
    if constexpr (kCount == 1) {
        store_one(to, from[0]);
    } else {
#pragma unroll
        for (int i = 0; i < kCount; i += kEach) {
            std::uint32_t words[kBytes / 4];
#pragma unroll
            for (int e = 0; e < kBytes / 4; ++e) {
                if constexpr (sizeof(T) == 4) {
                    words[e] = __float_as_uint(from[i + e]);
                } else {
                    words[e] = pack_bf16(from[i + 2 * e], from[i + 2 * e + 1]);
                }
            }
            Word word;
            memcpy(&word, words, kBytes);
            *reinterpret_cast<Word*>(to + i) = word;
        }
    }
}

}  // namespace longhaul::kernels::cuda
