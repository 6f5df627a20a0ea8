#pragma once

#include <cstdint>

/// Products of packed rows with packed tiles, for the three forms that elements take.
namespace longhaul::kernels::cpu {
namespace {  // NOLINT: one copy per instruction set, see attention_kernel.hpp

/// f32 tiles: a row's factor is one float, a tile's word one element.
struct F32Form {
    static constexpr int kDepth =
        1;  ///< elements of the contracted dimension in a word of the tile
    static constexpr int kRowWords = 1;  ///< 4-byte words of the row per word of the tile
    template <class S, int rows, int vectors>
    [[gnu::always_inline]] static inline void step(typename S::Vec (&acc)[rows][vectors],
                                                   float const* a, std::int64_t a_stride,
                                                   float const* b) {
        typename S::Vec columns[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            columns[v] = S::load(b + v * S::kWidth);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            typename S::Vec const factor = S::set(a[r * a_stride]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                acc[r][v] = S::fma(factor, columns[v], acc[r][v]);
            }
        }
    }
    template <class S>
    [[gnu::always_inline]] static inline void store(float* row, int slot, typename S::Vec p) {
        S::store(row + slot, p);
    }
};

/// bf16 tiles on processors without bf16 arithmetic: rows are f32, each word of the tile is two factors.
struct WidenForm {
    static constexpr int kDepth = 2;
    static constexpr int kRowWords = 2;
    template <class S, int rows, int vectors>
    [[gnu::always_inline]] static inline void step(typename S::Vec (&acc)[rows][vectors],
                                                   float const* a, std::int64_t a_stride,
                                                   float const* b) {
        typename S::Vec columns[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            columns[v] = S::load_low(b + v * S::kWidth);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            typename S::Vec const factor = S::set(a[r * a_stride]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                acc[r][v] = S::fma(factor, columns[v], acc[r][v]);
            }
        }
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            columns[v] = S::load_high(b + v * S::kWidth);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            typename S::Vec const factor = S::set(a[r * a_stride + 1]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                acc[r][v] = S::fma(factor, columns[v], acc[r][v]);
            }
        }
    }
    template <class S>
    [[gnu::always_inline]] static inline void store(float* row, int slot, typename S::Vec p) {
        S::store(row + slot, p);
    }
};

/// bf16 tiles with the processor's pair products: a row's word is a pair too, probabilities are rounded to bf16.
struct DotForm {
    static constexpr int kDepth = 2;
    static constexpr int kRowWords = 1;
    template <class S, int rows, int vectors>
    [[gnu::always_inline]] static inline void step(typename S::Vec (&acc)[rows][vectors],
                                                   float const* a, std::int64_t a_stride,
                                                   float const* b) {
        typename S::Vec columns[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            columns[v] = S::load(b + v * S::kWidth);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; ++r) {
            typename S::Vec const factor = S::set(a[r * a_stride]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) {
                acc[r][v] = S::dot(acc[r][v], factor, columns[v]);
            }
        }
    }
    template <class S>
    [[gnu::always_inline]] static inline void store(float* row, int slot, typename S::Vec p) {
        S::store_bf16(row + slot / 2, p);
    }
};

/// c [rows][vectors * width] (+)= a * b; b has `steps` rows of words. The words `ahead` of those in use are fetched into
/// the second-level cache meanwhile: one by one, since a burst would leave the arithmetic waiting (0: none).
template <class S, class F, int rows, int vectors, bool accumulate>
[[gnu::always_inline]] inline void multiply_columns(float const* a, std::int64_t a_stride,
                                                    float const* b, std::int64_t b_stride,
                                                    std::int64_t steps, std::int64_t ahead,
                                                    float* c, std::int64_t c_stride) {
    typename S::Vec acc[rows][vectors];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            acc[r][v] = accumulate ? S::load(c + r * c_stride + v * S::kWidth) : S::set(0.0F);
        }
    }
    for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            __builtin_prefetch(b + ahead + v * S::kWidth, 0, 2);
        }
        F::template step<S, rows, vectors>(acc, a, a_stride, b);
        a += F::kRowWords;
        b += b_stride;
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            S::store(c + r * c_stride + v * S::kWidth, acc[r][v]);
        }
    }
}

/// The same for any number of columns that is a multiple of 8.
template <class S, class F, int rows, bool accumulate>
[[gnu::always_inline]] inline void multiply(float const* a, std::int64_t a_stride, float const* b,
                                            std::int64_t b_stride, std::int64_t steps,
                                            std::int64_t ahead, float* c, std::int64_t c_stride,
                                            std::int64_t columns) {
    std::int64_t done = 0;
    for (; done + S::kVectors * S::kWidth <= columns; done += S::kVectors * S::kWidth) {
        multiply_columns<S, F, rows, S::kVectors, accumulate>(a, a_stride, b + done, b_stride,
                                                              steps, ahead, c + done, c_stride);
    }
    for (; done + S::kWidth <= columns; done += S::kWidth) {
        multiply_columns<S, F, rows, 1, accumulate>(a, a_stride, b + done, b_stride, steps, ahead,
                                                    c + done, c_stride);
    }
    if (done < columns) {
        multiply_columns<typename S::Narrow, F, rows, 1, accumulate>(
            a, a_stride, b + done, b_stride, steps, ahead, c + done, c_stride);
    }
}

}  // namespace
}  // namespace longhaul::kernels::cpu
