#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/logits_device.hpp"
#include "kernels/cuda/vector_access.cuh"
#include "kernels/logits_backends.hpp"

namespace longhaul::kernels::cuda {
namespace {

// A chunk is a block's and stays in registers: its logits are read once.
constexpr int kThreads = 256;
constexpr int kEach = 4;
constexpr int kVectors = 4;
static_assert(kThreads * kEach * kVectors == kLogitChunk);

__device__ Candidate better_of(Candidate a, Candidate b) {
    bool const second = b.id >= 0 && (a.id < 0 || beats(b.score, b.id, a.score, a.id));
    return second ? b : a;
}

// By butterflies: every lane gets the same value, formed by the same tree.
template <class T, class Combine>
__device__ T warp_reduce(T value, Combine combine) {
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        value = combine(value, __shfl_xor_sync(0xffffffffU, value, distance));
    }
    return value;
}

__device__ Candidate warp_best(Candidate best) {
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        best = better_of(best, {__shfl_xor_sync(0xffffffffU, best.score, distance),
                                __shfl_xor_sync(0xffffffffU, best.id, distance)});
    }
    return best;
}

struct ChunkValues {
    float values[kVectors][kEach];
    std::int64_t begin;  ///< column of the chunk
    int size;            ///< columns of the chunk

    __device__ static int place(int v, int e) {
        return (v * kThreads + static_cast<int>(threadIdx.x)) * kEach + e;
    }
    __device__ bool holds(int v, int e) const { return place(v, e) < size; }

    template <bool kAligned>
    __device__ void read(float const* row) {
#pragma unroll
        for (int v = 0; v < kVectors; ++v) {
            if (kAligned && holds(v, kEach - 1)) {
                load<kEach>(row + begin + place(v, 0), values[v]);
            } else {
#pragma unroll
                for (int e = 0; e < kEach; ++e) {
                    values[v][e] = holds(v, e) ? row[begin + place(v, e)] : -INFINITY;
                }
            }
        }
    }
    /// The thread's part of the sum of exp(value - max); what it does not hold is -inf and adds nothing. Only a few are
    /// summed in f32, which loses nothing there.
    __device__ double sum_exp(float max) const {
        double sum = 0.0;
#pragma unroll
        for (int v = 0; v < kVectors; ++v) {
            float few = 0.0F;
#pragma unroll
            for (int e = 0; e < kEach; ++e) {
                few += expf(values[v][e] - max);
            }
            sum += few;
        }
        return sum;
    }
    /// Calls visit(value, column) for what the thread holds, in the order of the columns.
    template <class Visit>
    __device__ void each(Visit visit) const {
#pragma unroll
        for (int v = 0; v < kVectors; ++v) {
#pragma unroll
            for (int e = 0; e < kEach; ++e) {
                if (holds(v, e)) {
                    visit(values[v][e], begin + place(v, e));
                }
            }
        }
    }
};

/// The thread's best candidate without noise.
__device__ Candidate choose_greedily(ChunkValues const& chunk, std::int64_t first_id) {
    Candidate best{0.0, -1};
    chunk.each([&](float logit, std::int64_t column) {
        best = better_of(best, {logit, static_cast<TokenId>(first_id + column)});
    });
    return best;
}

/// The same with noise. Reads the chunk again, from the caches: unrolled over registers the random numbers would take more of
/// them than there are.
__device__ Candidate choose_by_noise(float const* row, ChunkValues const& chunk,
                                     Choice const& choice, std::int64_t first_id) {
    Candidate best{0.0, -1};
    GumbelNoise const noise = choice.noise;
    double const temperature = choice.temperature;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < chunk.size; i += kThreads) {
        auto const id = static_cast<TokenId>(first_id + chunk.begin + i);
        double const scaled = row[chunk.begin + i] / temperature;
        std::uint64_t const bits = noise.bits(id);
        // The two logarithms are spared where the noise cannot be large enough.
        if (best.id < 0 || scaled + GumbelNoise::upper_bound(bits) >= best.score) {
            best = better_of(best, {scaled - log(-log(GumbelNoise::uniform(bits))), id});
        }
    }
    return best;
}

__device__ Candidate choose(float const* row, ChunkValues const& chunk, Choice const& choice,
                            std::int64_t first_id) {
    if (!choice.sample) {
        return {0.0, -1};
    }
    return warp_best(choice.temperature == 0.0 ? choose_greedily(chunk, first_id)
                                               : choose_by_noise(row, chunk, choice, first_id));
}

/// One chunk by the whole block; thread 0 gets it.
__device__ Part summarize(float const* row, ChunkValues const& chunk, Choice const& choice,
                          std::int64_t first_id) {
    constexpr int kWarps = kThreads / kWarp;
    __shared__ float maxima[kWarps];
    __shared__ double sums[kWarps];
    __shared__ Candidate candidates[kWarps];
    int const warp = static_cast<int>(threadIdx.x) / kWarp;
    bool const first_lane = threadIdx.x % kWarp == 0;
    bool finite = true;
    float max = -INFINITY;
    chunk.each([&](float logit, std::int64_t /*column*/) {
        finite = finite && isfinite(logit);
        max = fmaxf(max, logit);
    });
    max = warp_reduce(max, [](float a, float b) { return fmaxf(a, b); });
    if (first_lane) {
        maxima[warp] = max;
    }
    Part part{0.0, {0.0, -1}, 0.0F, __syncthreads_and(static_cast<int>(finite)) != 0};
    if (!part.finite) {
        return part;
    }
    max = maxima[0];
    for (int w = 1; w < kWarps; ++w) {
        max = fmaxf(max, maxima[w]);
    }
    part.max = max;
    double sum = chunk.sum_exp(max);
    sum = warp_reduce(sum, [](double a, double b) { return a + b; });
    Candidate const best = choose(row, chunk, choice, first_id);
    if (first_lane) {
        sums[warp] = sum;
        candidates[warp] = best;
    }
    __syncthreads();
    part.chosen.id = -1;
    for (int w = 0; w < kWarps; ++w) {
        part.sum_exp += sums[w];
        part.chosen = better_of(part.chosen, candidates[w]);
    }
    return part;
}

/// Block (chunk, row).
template <bool kAligned>
__global__ void __launch_bounds__(kThreads, 4)
    summarize_chunks(LogitRows rows, Choice const* choices, Part* parts) {
    for (std::int64_t row = blockIdx.y; row < rows.num_rows; row += gridDim.y) {
        ChunkValues chunk;
        chunk.begin = static_cast<std::int64_t>(blockIdx.x) * kLogitChunk;
        std::int64_t const left = rows.vocab.size() - chunk.begin;
        chunk.size = static_cast<int>(left < kLogitChunk ? left : kLogitChunk);
        chunk.read<kAligned>(rows.row(row));
        Part const part = summarize(rows.row(row), chunk, choices[row], rows.vocab.begin);
        if (threadIdx.x == 0) {
            parts[row * gridDim.x + blockIdx.x] = part;
        }
        __syncthreads();  // the shared memory is the next row's
    }
}

__device__ double warp_sum(double value) {
    return warp_reduce(value, [](double a, double b) { return a + b; });
}

/// A warp for a row.
__global__ void merge_chunks(LogitRows rows, Choice const* choices, Part const* parts, int chunks,
                             RowResult* results) {
    std::int64_t const row =
        static_cast<std::int64_t>(blockIdx.x) * (blockDim.x / kWarp) + threadIdx.x / kWarp;
    int const lane = static_cast<int>(threadIdx.x) % kWarp;
    if (row >= rows.num_rows) {
        return;
    }
    parts += row * chunks;
    Part whole{0.0, {0.0, -1}, -INFINITY, true};
    for (int i = lane; i < chunks; i += kWarp) {
        whole.finite = whole.finite && parts[i].finite;
        whole.max = fmaxf(whole.max, parts[i].max);
        whole.chosen = better_of(whole.chosen, parts[i].chosen);
    }
    whole.finite = __all_sync(0xffffffffU, static_cast<int>(whole.finite)) != 0;
    whole.max = warp_reduce(whole.max, [](float a, float b) { return fmaxf(a, b); });
    whole.chosen = warp_best(whole.chosen);
    for (int i = lane; i < chunks; i += kWarp) {
        double const below = static_cast<double>(parts[i].max) - whole.max;
        whole.sum_exp += parts[i].sum_exp * exp(below);
    }
    whole.sum_exp = warp_sum(whole.sum_exp);
    if (lane == 0) {
        float const* const logits = rows.row(row);
        TokenId const target = choices[row].target;
        TokenId const chosen = whole.chosen.id;
        results[row] = {whole,
                        rows.vocab.contains(target) ? logits[target - rows.vocab.begin] : 0.0F,
                        chosen >= 0 ? logits[chosen - rows.vocab.begin] : 0.0F};
    }
}

}  // namespace

void summarize_rows(LogitRows const& rows, Choice const* choices, Part* parts, RowResult* results,
                    cudaStream_t stream) {
    constexpr std::int64_t kMaxGridY = 65535;
    std::int64_t const chunks = ceil_div(rows.vocab.size(), kLogitChunk);
    dim3 const grid(grid_size(chunks),
                    static_cast<unsigned>(rows.num_rows < kMaxGridY ? rows.num_rows : kMaxGridY));
    auto* const kernel = rows.vocab.size() % kEach == 0 && is_aligned(rows.logits, 16)
                             ? summarize_chunks<true>
                             : summarize_chunks<false>;
    kernel<<<grid, kThreads, 0, stream>>>(rows, choices, parts);
    LH_CUDA_LAUNCHED();
    constexpr int kMergeThreads = 128;
    merge_chunks<<<grid_size(ceil_div(rows.num_rows, kMergeThreads / kWarp)), kMergeThreads, 0,
                   stream>>>(rows, choices, parts, static_cast<int>(chunks), results);
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
