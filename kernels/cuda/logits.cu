#include "device/buffer.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/logits_device.hpp"
#include "kernels/cuda/vector_access.cuh"
#include "kernels/logits_backends.hpp"

#include <algorithm>
#include <vector>

namespace longhaul::kernels::cuda {
namespace {

// Rows are cut into chunks, a block each, so that one row keeps many multiprocessors busy; the chunks' summaries are then
// merged by a warp per row. A chunk stays in registers: its logits are read once.
constexpr int kThreads = 256;
constexpr int kEach = 4;
constexpr int kVectors = 4;
constexpr int kChunk = kThreads * kEach * kVectors;

/// A query as the kernels want it.
struct Choice {
    GumbelNoise noise;
    double temperature = 0.0;
    TokenId target = -1;
    bool sample = false;
};

struct Candidate {
    double score;
    TokenId id;  ///< -1: none
};

/// Summary of a chunk, later of a row.
struct Part {
    double sum_exp;
    Candidate chosen;
    float max;
    bool finite;
};

/// What the host downloads for a row.
struct RowResult {
    Part whole;
    float target_logit;
    float chosen_logit;
};

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

/// The thread's best candidate.
__device__ Candidate choose(ChunkValues const& chunk, Choice const& choice, std::int64_t first_id) {
    Candidate best{0.0, -1};
    if (choice.temperature == 0.0) {
        chunk.each([&](float logit, std::int64_t column) {
            best = better_of(best, {logit, static_cast<TokenId>(first_id + column)});
        });
        return best;
    }
    chunk.each([&](float logit, std::int64_t column) {
        auto const id = static_cast<TokenId>(first_id + column);
        double const scaled = logit / choice.temperature;
        std::uint64_t const bits = choice.noise.bits(id);
        // The two logarithms are spared where the noise cannot be large enough.
        if (best.id < 0 || scaled + GumbelNoise::upper_bound(bits) >= best.score) {
            double const noise = -log(-log(GumbelNoise::uniform(bits)));
            best = better_of(best, {scaled + noise, id});
        }
    });
    return best;
}

/// One chunk by the whole block; thread 0 gets it.
__device__ Part summarize(ChunkValues const& chunk, Choice const& choice, std::int64_t first_id) {
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
    Candidate const best =
        choice.sample ? warp_best(choose(chunk, choice, first_id)) : Candidate{0.0, -1};
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
__global__ void __launch_bounds__(kThreads)
    summarize_chunks(LogitRows rows, Choice const* choices, Part* parts) {
    for (std::int64_t row = blockIdx.y; row < rows.num_rows; row += gridDim.y) {
        ChunkValues chunk;
        chunk.begin = static_cast<std::int64_t>(blockIdx.x) * kChunk;
        std::int64_t const left = rows.vocab.size() - chunk.begin;
        chunk.size = static_cast<int>(left < kChunk ? left : kChunk);
        chunk.read<kAligned>(rows.row(row));
        Part const part = summarize(chunk, choices[row], rows.vocab.begin);
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

/// Places of arrays in the scratch memory.
class Layout {
  public:
    template <class T>
    [[nodiscard]] std::int64_t place(std::int64_t count) {
        std::int64_t const begin = bytes_;
        bytes_ += round_up(count * static_cast<std::int64_t>(sizeof(T)), 256);
        return begin;
    }
    [[nodiscard]] std::int64_t bytes() const { return bytes_; }

  private:
    std::int64_t bytes_ = 0;
};

std::vector<TopQuery> top_queries(Range vocab, std::span<LogitQuery const> queries) {
    std::vector<TopQuery> wanted;
    for (std::size_t row = 0; row < queries.size(); ++row) {
        std::int64_t const count = std::min<std::int64_t>(queries[row].top_k, vocab.size());
        if (count > 0 && count <= kMaxTop) {
            wanted.push_back({static_cast<std::int64_t>(row), static_cast<int>(count)});
        }
    }
    return wanted;
}

/// More than the kernel's memory holds: by the host.
std::vector<ScoredToken> long_top(ExecContext const& exec, LogitRows const& rows, std::int64_t row,
                                  std::int32_t top_k) {
    std::vector<float> logits(static_cast<std::size_t>(rows.vocab.size()));
    device::download(exec.gpu, logits.data(), rows.row(row),
                     rows.vocab.size() * dtype_bytes(DType::f32));
    LogitSummary summary;
    LogitQuery query;
    query.top_k = top_k;
    reference::summarize_row(logits.data(), rows.vocab, query, summary);
    return std::move(summary.top);
}

LogitSummary to_summary(RowResult const& result, Range vocab, LogitQuery const& query) {
    LogitSummary summary;
    summary.finite = result.whole.finite;
    if (!summary.finite) {
        return summary;
    }
    summary.max = result.whole.max;
    summary.sum_exp = result.whole.sum_exp;
    summary.has_target = vocab.contains(query.target);
    summary.target_logit = result.target_logit;
    if (query.sample) {
        summary.chosen = {result.whole.chosen.id, result.chosen_logit};
        // Formed again with the host's logarithm: the score is the same bits on every backend.
        summary.chosen_score = query.temperature == 0.0F
                                   ? static_cast<double>(summary.chosen.logit)
                                   : static_cast<double>(summary.chosen.logit) / query.temperature +
                                         gumbel_noise(query, summary.chosen.id);
    }
    return summary;
}

struct Scratch {
    Choice* choices;
    Part* parts;
    RowResult* results;
    TopQuery* top_queries;
    ScoredToken* top;

    Scratch(ExecContext const& exec, std::int64_t rows, std::int64_t chunks, std::int64_t tops) {
        Layout layout;
        std::int64_t const places[] = {layout.place<Choice>(rows),
                                       layout.place<Part>(rows * chunks),
                                       layout.place<RowResult>(rows), layout.place<TopQuery>(tops),
                                       layout.place<ScoredToken>(tops * kMaxTop)};
        auto* const base = static_cast<std::byte*>(exec.gpu->scratch(layout.bytes()));
        choices = reinterpret_cast<Choice*>(base + places[0]);
        parts = reinterpret_cast<Part*>(base + places[1]);
        results = reinterpret_cast<RowResult*>(base + places[2]);
        top_queries = reinterpret_cast<TopQuery*>(base + places[3]);
        top = reinterpret_cast<ScoredToken*>(base + places[4]);
    }
};

template <class T>
void upload(ExecContext const& exec, T* to, std::vector<T> const& from) {
    device::upload(exec.gpu, to, from.data(), static_cast<std::int64_t>(from.size() * sizeof(T)));
}
template <class T>
void download(ExecContext const& exec, std::vector<T>& to, T const* from) {
    device::download(exec.gpu, to.data(), from, static_cast<std::int64_t>(to.size() * sizeof(T)));
}

void launch(ExecContext const& exec, LogitRows const& rows, std::int64_t chunks,
            Scratch const& scratch) {
    constexpr std::int64_t kMaxGridY = 65535;
    dim3 const grid(grid_size(chunks),
                    static_cast<unsigned>(std::min<std::int64_t>(rows.num_rows, kMaxGridY)));
    auto* const kernel = rows.vocab.size() % kEach == 0 && is_aligned(rows.logits, 16)
                             ? summarize_chunks<true>
                             : summarize_chunks<false>;
    kernel<<<grid, kThreads, 0, stream_of(exec)>>>(rows, scratch.choices, scratch.parts);
    LH_CUDA_LAUNCHED();
    constexpr int kMergeThreads = 128;
    merge_chunks<<<grid_size(ceil_div(rows.num_rows, kMergeThreads / kWarp)), kMergeThreads, 0,
                   stream_of(exec)>>>(rows, scratch.choices, scratch.parts,
                                      static_cast<int>(chunks), scratch.results);
    LH_CUDA_LAUNCHED();
}

}  // namespace

void summarize_logits(ExecContext const& exec, float const* logits, Range vocab,
                      std::span<LogitQuery const> queries, std::span<LogitSummary> summaries) {
    LogitRows const rows{logits, vocab, static_cast<std::int64_t>(queries.size())};
    if (rows.num_rows == 0) {
        return;
    }
    std::vector<Choice> choices;
    choices.reserve(queries.size());
    for (LogitQuery const& query : queries) {
        choices.push_back({GumbelNoise(query), query.temperature, query.target, query.sample});
    }
    std::vector<TopQuery> const tops = top_queries(vocab, queries);
    auto const num_tops = static_cast<std::int64_t>(tops.size());
    std::int64_t const chunks = ceil_div(vocab.size(), kChunk);
    Scratch const scratch(exec, rows.num_rows, chunks, num_tops);
    upload(exec, scratch.choices, choices);
    launch(exec, rows, chunks, scratch);
    std::vector<ScoredToken> top(tops.size() * kMaxTop);
    if (num_tops > 0) {
        upload(exec, scratch.top_queries, tops);
        find_top(rows, scratch.top_queries, num_tops, scratch.top, stream_of(exec));
        download(exec, top, scratch.top);
    }
    std::vector<RowResult> results(queries.size());
    download(exec, results, scratch.results);
    for (std::size_t row = 0; row < queries.size(); ++row) {
        summaries[row] = to_summary(results[row], vocab, queries[row]);
    }
    for (std::size_t i = 0; i < tops.size(); ++i) {
        LogitSummary& summary = summaries[static_cast<std::size_t>(tops[i].row)];
        auto const begin = top.begin() + static_cast<std::ptrdiff_t>(i) * kMaxTop;
        if (summary.finite) {
            summary.top.assign(begin, begin + tops[i].count);
        }
    }
    for (std::size_t row = 0; row < queries.size(); ++row) {
        bool const is_long = std::min<std::int64_t>(queries[row].top_k, vocab.size()) > kMaxTop;
        if (is_long && summaries[row].finite) {
            summaries[row].top =
                long_top(exec, rows, static_cast<std::int64_t>(row), queries[row].top_k);
        }
    }
}

}  // namespace longhaul::kernels::cuda
