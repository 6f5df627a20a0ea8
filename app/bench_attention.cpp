#include "base/checked.hpp"
#include "base/random_matrix.hpp"
#include "device/buffer.hpp"
#include "kernels/attention.hpp"
#include "kernels/random_fill.hpp"
#include "app/bench_report.hpp"

#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace longhaul::app {
namespace {

/// Up to here attention is bound by the keys and values it reads, as in decoding.
constexpr std::int64_t kFewQueries = 16;

/// Random numbers of the backend's dtype, `elements` of them.
device::Buffer random_buffer(kernels::ExecContext const& exec, std::uint64_t seed,
                             std::int64_t rows, std::int64_t cols, DType dtype) {
    device::Buffer buffer(exec.gpu, rows * cols * dtype_bytes(dtype));
    kernels::fill_random(exec, make_random_matrix(seed, 0, cols, 1.0), {0, rows}, {0, cols},
                         buffer.data(), dtype);
    return buffer;
}

/// All rows of one sequence against its history, whose blocks lie in three runs.
struct Problem {
    Problem(BenchOptions const& options, kernels::ExecContext const& exec, std::int64_t num_queries,
            std::int64_t context)
        : layout{options.dtype,
                 options.block_slots,
                 options.num_kv_heads,
                 options.head_dim,
                 options.head_dim,
                 exec.gpu != nullptr ? kernels::KvPacking::rows : kernels::KvPacking::simd},
          work(exec, {layout, options.num_heads, false}),
          rows(static_cast<std::size_t>(num_queries)) {
        std::iota(rows.begin(), rows.end(), 0);
        std::int64_t const slots = layout.block_slots;
        std::int64_t const blocks = ceil_div(context, slots);
        for (std::int64_t part = 0; part < 3; ++part) {
            Range const run = split_range(blocks, 3, part);
            if (!run.empty()) {
                extents.push_back({blocks - run.end, run.size(), run.begin * slots, slots});
            }
        }
        items.push_back({rows, extents, 0, context, {}});
        DType const dtype = options.dtype;
        std::int64_t const width = options.num_heads * options.head_dim;
        pool = random_buffer(exec, 1, blocks, layout.block_bytes() / dtype_bytes(dtype), dtype);
        queries = random_buffer(exec, 2, num_queries, width, dtype);
        out = device::Buffer(exec.gpu, num_queries * width * dtype_bytes(DType::f32));
        lse = device::Buffer(exec.gpu, num_queries * options.num_heads * dtype_bytes(DType::f32));
        work.prepare(num_queries, items);
        args.layout = layout;
        args.pool = pool.data();
        args.queries = queries.data();
        args.num_rows = num_queries;
        args.num_heads = options.num_heads;
        args.scale = 1.0F / std::sqrt(static_cast<float>(options.head_dim));
        args.items = items;
        args.work = &work;
        args.out = out.as<float>();
        args.lse = lse.as<float>();
    }
    Problem(Problem const&) = delete;
    Problem& operator=(Problem const&) = delete;

    kernels::KvLayout layout;
    kernels::AttentionWork work;
    std::vector<std::int32_t> rows;
    std::vector<kernels::KvExtent> extents;
    std::vector<kernels::AttentionItem> items;
    device::Buffer pool, queries, out, lse;
    kernels::AttentionArgs args;
};

}  // namespace

std::vector<BenchRow> bench_attention(BenchOptions const& options, kernels::ExecContext const& exec,
                                      BenchCeilings const& ceilings) {
    std::vector<BenchRow> table;
    for (std::int64_t const context : options.context) {
        for (std::int64_t const queries : options.queries) {
            Problem const problem(options, exec, queries, context);
            double const seconds = median_seconds(exec, options.repeat,
                                                  [&] { kernels::attention(exec, problem.args); });
            double const flop = 4.0 * static_cast<double>(options.num_heads * options.head_dim) *
                                static_cast<double>(queries) * static_cast<double>(context);
            double const bytes = 2.0 *
                                 static_cast<double>(options.num_kv_heads * options.head_dim *
                                                     dtype_bytes(options.dtype)) *
                                 static_cast<double>(context);
            bool const few = queries <= kFewQueries;
            table.push_back({{"heads", options.num_heads},
                             {"kv_heads", options.num_kv_heads},
                             {"head_dim", options.head_dim},
                             {"queries", queries},
                             {"context", context},
                             {"ms", seconds * 1e3},
                             {"tflop_per_s", flop / seconds * 1e-12},
                             {"kv_tb_per_s", bytes / seconds * 1e-12},
                             {"bound_by", few ? "memory" : "product"},
                             {"share", few ? bytes / seconds / ceilings.bytes_per_s
                                           : flop / seconds / ceilings.flop_per_s}});
        }
    }
    return table;
}

}  // namespace longhaul::app
