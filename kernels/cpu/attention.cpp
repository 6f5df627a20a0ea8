#include "kernels/cpu/attention.hpp"

#include "base/bfloat16.hpp"
#include "base/checked.hpp"
#include "base/range.hpp"
#include "kernels/cpu/attention_kernel.hpp"
#include "kernels/cpu/attention_plan.hpp"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <numbers>
#include <thread>
#include <vector>

namespace longhaul::kernels::cpu {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

#if defined(__x86_64__)
/// Zen 4 takes as long for a pair product as for a multiply-add. The Intel server measured takes four times as long (89
/// against 179 GFLOP/s), so that widening to f32 is faster by half there, and more exact.
bool pair_products_are_fast() { return __builtin_cpu_is("amd") != 0; }
#endif

AttentionKernel select_kernel(Isa isa, DType dtype) {
    bool const f32 = dtype == DType::f32;
    switch (isa) {
#if defined(__x86_64__)
        case Isa::avx512_bf16:
            if (f32 || !pair_products_are_fast()) {
                return f32 ? f32_kernel_avx512() : bf16_kernel_avx512();
            }
            return bf16_kernel_avx512_bf16();
        case Isa::avx512:
            return f32 ? f32_kernel_avx512() : bf16_kernel_avx512();
        case Isa::avx2:
            return f32 ? f32_kernel_avx2() : bf16_kernel_avx2();
#endif
        default:
            return f32 ? f32_kernel_plain() : bf16_kernel_plain();
    }
}

/// A thread's memory for one tile; grows to the largest dims seen and stays.
class TileScratch {
  public:
    float* queries = nullptr;  ///< [kTileRows][key_dim] of f32, or fewer bytes
    float* out = nullptr;      ///< [kTileRows][value_dim]
    float* sums = nullptr;     ///< [kTileRows][kSumLanes]
    float* reference = nullptr;
    std::int64_t* visible = nullptr;

    void reserve(KvLayout const& layout) {
        std::int64_t const floats =
            kTileRows * (layout.key_dim + layout.value_dim + kSumLanes + 1 + 2);
        if (floats > capacity_) {
            memory_.reset(static_cast<float*>(
                ::operator new (floats * sizeof(float), std::align_val_t{kAlignment})));
            capacity_ = floats;
        }
        queries = memory_.get();
        out = queries + kTileRows * layout.key_dim;
        sums = out + kTileRows * layout.value_dim;
        reference = sums + kTileRows * kSumLanes;
        visible = reinterpret_cast<std::int64_t*>(reference + kTileRows);
    }

  private:
    static constexpr std::size_t kAlignment = 64;
    struct Free {
        void operator()(float* memory) const {
            ::operator delete (memory, std::align_val_t{kAlignment});
        }
    };
    std::unique_ptr<float, Free> memory_;
    std::int64_t capacity_ = 0;
};

/// One call, shared by its threads.
struct Call {
    AttentionArgs const& args;
    AttentionPlan& plan;
    AttentionKernel kernel;
    TileShape shape;
    float* sums = nullptr;  ///< [num_rows, num_heads]; args.lse holds the references meanwhile

    [[nodiscard]] std::int64_t group() const { return args.num_heads / args.layout.num_kv_heads; }
    /// Element of lse (and, times value_dim, of out) of a tile's packed row.
    [[nodiscard]] std::int64_t position(TileWork const& tile, std::int64_t packed) const {
        std::int64_t const row = args.items[tile.item].rows[packed / group()];
        return row * args.num_heads + tile.kv_head * group() + packed % group();
    }
};

/// Copies the tile's query heads side by side and fills in what each packed row sees.
RowTile pack_rows(Call const& call, TileWork const& work, TileScratch& scratch) {
    AttentionItem const& item = call.args.items[work.item];
    std::int64_t const dim = call.shape.key_dim;
    std::int64_t const element_bytes = dtype_bytes(call.args.layout.dtype);
    auto const* queries = static_cast<std::byte const*>(call.args.queries);
    bool const widen = call.kernel.widen_queries;
    std::int64_t const stride = dim * (widen ? 4 : element_bytes);
    auto* packed_queries = reinterpret_cast<std::byte*>(scratch.queries);
    for (std::int64_t i = 0; i < work.rows; ++i) {
        std::int64_t const packed = work.first_row + i;
        std::byte const* from = queries + call.position(work, packed) * dim * element_bytes;
        if (widen) {
            for (std::int64_t e = 0; e < dim; ++e) {
                BFloat16 value;
                std::memcpy(&value, from + e * element_bytes, sizeof(value));
                scratch.queries[i * dim + e] = to_float(value);
            }
        } else {
            std::memcpy(packed_queries + i * stride, from, stride);
        }
        scratch.visible[i] = item.slot_end;
        if (!item.visible.empty()) {
            scratch.visible[i] = std::min(item.slot_end, item.visible[packed / call.group()]);
        }
    }
    return {work.rows,         packed_queries, stride,     scratch.visible,
            scratch.reference, scratch.sums,   scratch.out};
}

/// The part of an extent's blocks [offset, offset + count) whose slots meet [begin, end).
Range blocks_in_reach(KvExtent const& extent, Range blocks, std::int64_t block_slots,
                      std::int64_t begin, std::int64_t end) {
    if (extent.slot_stride == 0) {
        return blocks;  // one block; the kernel masks it
    }
    // Block i covers [first + i * stride, + block_slots).
    std::int64_t const below = begin - block_slots - extent.first_slot;
    std::int64_t const above = end - 1 - extent.first_slot;
    std::int64_t const lowest = below < 0 ? 0 : below / extent.slot_stride + 1;
    std::int64_t const highest = above < 0 ? -1 : above / extent.slot_stride;
    return {std::max(blocks.begin, lowest), std::min(blocks.end, highest + 1)};
}

void attend_split(Call const& call, TileWork const& work, RowTile const& tile,
                  KvSplit const& split) {
    AttentionItem const& item = call.args.items[work.item];
    KvLayout const& layout = call.args.layout;
    std::fill_n(tile.reference, tile.rows, kNothing);
    std::fill_n(tile.sums, tile.rows * kSumLanes, 0.0F);
    std::fill_n(tile.out, tile.rows * layout.value_dim, 0.0F);
    std::int64_t const end = *std::max_element(tile.visible, tile.visible + tile.rows);
    std::int64_t left = split.blocks;
    std::int64_t offset = split.offset;
    for (std::int64_t index = split.extent; left > 0; ++index, offset = 0) {
        KvExtent const& extent = item.extents[index];
        std::int64_t const taken = std::min(left, extent.count - offset);
        Range const blocks = blocks_in_reach(extent, {offset, offset + taken}, layout.block_slots,
                                             item.slot_begin, end);
        left -= taken;
        if (blocks.empty()) {
            continue;
        }
        BlockRun const run{
            .tiles = call.args.pool + (extent.block + blocks.begin) * layout.block_bytes() +
                     work.kv_head * layout.head_bytes(),
            .count = blocks.size(),
            .block_bytes = layout.block_bytes(),
            .first_slot = extent.first_slot + blocks.begin * extent.slot_stride,
            .slot_stride = extent.slot_stride,
            .slot_begin = item.slot_begin,
        };
        call.kernel.attend(call.shape, tile, run);
    }
}

void run_task(Call const& call, AttentionTask const& task, TileScratch& scratch) {
    TileWork& work = call.plan.tiles[task.tile];
    RowTile const tile = pack_rows(call, work, scratch);
    KvSplit const* splits = call.plan.splits.data() + call.plan.item_splits[work.item];
    std::atomic_ref<std::int64_t> const folded(work.splits_folded);
    for (std::int64_t split = task.first_split; split < task.first_split + task.num_splits;
         ++split) {
        attend_split(call, work, tile, splits[split]);
        // Results fold in split order. The task before this one began earlier, so the wait is short, and it always ends.
        while (folded.load(std::memory_order_acquire) != split) {
            std::this_thread::yield();
        }
        for (std::int64_t i = 0; i < tile.rows; ++i) {
            std::int64_t const position = call.position(work, work.first_row + i);
            call.kernel.fold(call.shape, tile, i,
                             {call.args.lse + position, call.sums + position,
                              call.args.out + position * call.shape.value_dim});
        }
        folded.store(split + 1, std::memory_order_release);
    }
}

/// Turns a row's running results into normalised output and log-sum-exp.
void finish_row(Call const& call, std::int64_t row) {
    std::int64_t const dim = call.shape.value_dim;
    for (std::int64_t head = 0; head < call.args.num_heads; ++head) {
        std::int64_t const position = row * call.args.num_heads + head;
        float* out = call.args.out + position * dim;
        float& lse = call.args.lse[position];
        if (lse == kNothing) {
            std::fill_n(out, dim, 0.0F);
            continue;
        }
        float const inverse = 1.0F / call.sums[position];
        for (std::int64_t e = 0; e < dim; ++e) {
            out[e] = out[e] * inverse + 0.0F;
        }  // no -0
        lse = static_cast<float>(double{lse} * std::numbers::ln2 +
                                 std::log(double{call.sums[position]}));
    }
}

/// What each of `threads` threads does in a call.
void run_thread(Call const& call, int thread, int threads) {
    thread_local TileScratch scratch;
    scratch.reserve(call.args.layout);
    for (std::int64_t level = 0; level < call.plan.num_levels(); ++level) {
        std::int64_t const end = call.plan.level_tasks[level + 1];
        std::atomic_ref<std::int64_t> const next(call.plan.next_task[level]);
        for (;;) {
            // Handed out in order: a task that waits for another one's fold knows that it has begun.
            std::int64_t const task = next.fetch_add(1, std::memory_order_relaxed);
            if (task >= end) {
                break;
            }
            run_task(call, call.plan.tasks[task], scratch);
        }
        if (threads > 1) {
#pragma omp barrier
        }
    }
    Range const rows = split_range(call.args.num_rows, threads, thread);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        finish_row(call, row);
    }
}

}  // namespace

void attention(ExecContext const& exec, AttentionArgs const& args) {
    // Of the calling thread; the others reach them through `call`.
    thread_local AttentionPlan plan;
    thread_local std::vector<float> sums;
    plan.build(args, exec.threads);
    std::int64_t const positions = args.num_rows * args.num_heads;
    sums.resize(std::max<std::size_t>(sums.size(), positions));
    std::fill_n(args.lse, positions, kNothing);
    KvLayout const& layout = args.layout;
    Call const call{
        .args = args,
        .plan = plan,
        .kernel = select_kernel(exec.isa, layout.dtype),
        .shape = {layout.block_slots, layout.key_dim, layout.value_dim, layout.key_tile_bytes(),
                  args.scale * std::numbers::log2e_v<float>},
        .sums = sums.data(),
    };
    if (exec.threads == 1) {
        run_thread(call, 0, 1);
        return;
    }
#pragma omp parallel num_threads(exec.threads)
    run_thread(call, omp_get_thread_num(), omp_get_num_threads());
}

}  // namespace longhaul::kernels::cpu
