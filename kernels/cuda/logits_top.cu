#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/logits_device.hpp"

namespace longhaul::kernels::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;

/// Larger for a better candidate, and different for each: the logit in the order of its bits, then the smaller id.
__device__ std::uint64_t sort_key(float logit, std::int64_t id) {
    // -0 and 0 are equal.
    std::uint32_t const bits = __float_as_uint(logit == 0.0F ? 0.0F : logit);
    std::uint32_t const ordered = bits >> 31 != 0 ? ~bits : bits | 0x80000000U;
    return static_cast<std::uint64_t>(ordered) << 32 | static_cast<std::uint32_t>(~id);
}

/// Upper digits that the keys wanted share or exceed.
struct Threshold {
    std::uint64_t prefix = 0;
    std::uint64_t mask = 0;
};

/// Digit by digit from the top: the digit at which `wanted` is reached, and how many of that digit's keys are wanted.
__device__ void pick_digit(int const* counts, int& digit, int& wanted, bool& all) {
    for (digit = kDigits - 1; digit > 0 && counts[digit] < wanted; --digit) {
        wanted -= counts[digit];
    }
    all = counts[digit] == wanted;
}

/// Radix select by the whole block.
__device__ Threshold find_threshold(float const* row, Range vocab, int count) {
    __shared__ int counts[kDigits];
    __shared__ int digit;
    __shared__ int wanted;
    __shared__ bool all;
    Threshold threshold;
    if (threadIdx.x == 0) {
        wanted = count;
    }
    for (int shift = 64 - kDigitBits; shift >= 0; shift -= kDigitBits) {
        if (threadIdx.x < kDigits) {
            counts[threadIdx.x] = 0;
        }
        __syncthreads();
        for (std::int64_t i = threadIdx.x; i < vocab.size(); i += kThreads) {
            std::uint64_t const key = sort_key(row[i], vocab.begin + i);
            if ((key & threshold.mask) == threshold.prefix) {
                atomicAdd(&counts[key >> shift & (kDigits - 1)], 1);
            }
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            pick_digit(counts, digit, wanted, all);
        }
        __syncthreads();
        threshold.prefix |= static_cast<std::uint64_t>(digit) << shift;
        threshold.mask |= static_cast<std::uint64_t>(kDigits - 1) << shift;
        if (all) {
            break;
        }
    }
    return threshold;
}

/// Bitonic, descending; size is a power of two.
__device__ void sort(std::uint64_t* keys, int size) {
    int const i = static_cast<int>(threadIdx.x);
    for (int run = 2; run <= size; run *= 2) {
        for (int distance = run / 2; distance > 0; distance /= 2) {
            __syncthreads();
            int const other = i ^ distance;
            if (i < size && other > i) {
                bool const descending = (i & run) == 0;
                std::uint64_t const a = keys[i];
                std::uint64_t const b = keys[other];
                if (descending ? a < b : a > b) {
                    keys[i] = b;
                    keys[other] = a;
                }
            }
        }
    }
    __syncthreads();
}

/// A block for a query.
__global__ void __launch_bounds__(kThreads)
    top_of_row(LogitRows rows, TopQuery const* queries, ScoredToken* top) {
    __shared__ std::uint64_t keys[kMaxTop];
    __shared__ int used;
    TopQuery const query = queries[blockIdx.x];
    float const* const row = rows.row(query.row);
    static_assert(kThreads >= kMaxTop);
    if (threadIdx.x < kMaxTop) {
        keys[threadIdx.x] = 0;
    }
    if (threadIdx.x == 0) {
        used = 0;
    }
    Threshold const threshold = find_threshold(row, rows.vocab, query.count);
    for (std::int64_t i = threadIdx.x; i < rows.vocab.size(); i += kThreads) {
        std::uint64_t const key = sort_key(row[i], rows.vocab.begin + i);
        if ((key & threshold.mask) >= threshold.prefix) {
            keys[atomicAdd(&used, 1)] = key;
        }
    }
    int size = 1;
    while (size < query.count) {
        size *= 2;
    }
    __syncthreads();
    sort(keys, size);
    if (static_cast<int>(threadIdx.x) < query.count) {
        auto const id = static_cast<TokenId>(~static_cast<std::uint32_t>(keys[threadIdx.x]));
        top[static_cast<std::int64_t>(blockIdx.x) * kMaxTop + threadIdx.x] = {
            id, row[id - rows.vocab.begin]};
    }
}

}  // namespace

void find_top(LogitRows const& rows, TopQuery const* queries, std::int64_t num_queries,
              ScoredToken* top, cudaStream_t stream) {
    top_of_row<<<grid_size(num_queries), kThreads, 0, stream>>>(rows, queries, top);
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
