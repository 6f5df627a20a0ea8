#include "base/checked.hpp"
#include "kernels/cuda/attention_device.hpp"
#include "kernels/cuda/attention_launch.hpp"

#include <memory>
#include <span>
#include <vector>

namespace longhaul::kernels::cuda {
namespace {

constexpr std::int64_t kMinPartSlots = 1024;

template <class T>
std::int64_t room_for(std::vector<T> const& values) {
    return device::StepArena::room_for(std::ssize(values) * std::int64_t{sizeof(T)});
}

template <class T>
T const* put(device::StepArena& arena, std::vector<T> const& values) {
    return arena.put(std::span<T const>(values));
}

}  // namespace

KernelChoice choose_kernel(AttentionWork::Shape const& shape, int capability, int multiprocessors) {
    KvLayout const& layout = shape.layout;
    bool const plain = layout.dtype == DType::f32;
    bool const hopper = !plain && capability == 90 && layout.block_slots == kHopperTileSlots &&
                        layout.key_dim == layout.value_dim &&
                        (layout.key_dim == 64 || layout.key_dim == 128);
    KernelChoice choice;
    choice.kernel = plain    ? AttentionKernel::plain_f32
                    : hopper ? AttentionKernel::hopper
                             : AttentionKernel::mma_bf16;
    WorkListShape& work = choice.work;
    work.layout = layout;
    work.num_heads = shape.num_heads;
    work.fixed_splits = shape.fixed_splits;
    work.tile_slots = plain ? kPlainTileSlots : hopper ? kHopperTileSlots : kMmaTileSlots;
    work.wide.rows = plain    ? kPlainTileRows
                     : hopper ? hopper_tile_rows(layout.key_dim)
                              : kMmaTileRows;
    work.wide.persistent = hopper;
    // Two CTAs of the other kernels share a multiprocessor at common head sizes.
    work.wide.schedule = {
        .num_ctas = hopper ? multiprocessors : 2 * multiprocessors,
        .min_part = kMinPartSlots / work.tile_slots,
        .fixed_part = shape.fixed_splits ? AttentionWork::kFixedPartSlots / work.tile_slots : 0};
    // Which kernel a row gets may depend on how many rows there are only where its bits may.
    if (hopper && !shape.fixed_splits) {
        work.narrow = {.rows = kDecodeTileRows,
                       .schedule = {.num_ctas = multiprocessors, .min_part = 4, .fixed_part = 0},
                       .persistent = true};
    }
    return choice;
}

DeviceAttentionPlan::DeviceAttentionPlan(ExecContext const& exec, AttentionWork::Shape const& shape)
    : gpu_(exec.gpu),
      choice_(choose_kernel(shape, exec.gpu->info().capability, exec.gpu->info().multiprocessors)),
      work_(choice_.work),
      arena_(exec.gpu) {
    KvLayout const& layout = shape.layout;
    LH_EXPECT(layout.packing == KvPacking::rows);
    view_.block_bytes = layout.block_bytes();
    view_.head_bytes = layout.head_bytes();
    view_.key_tile_bytes = layout.key_tile_bytes();
    view_.num_heads = checked_cast<std::int32_t>(shape.num_heads);
    view_.group = checked_cast<std::int32_t>(shape.num_heads / layout.num_kv_heads);
    view_.key_dim = checked_cast<std::int32_t>(layout.key_dim);
    view_.value_dim = checked_cast<std::int32_t>(layout.value_dim);
    view_.fixed_splits = shape.fixed_splits;
    view_.piece_slots = checked_cast<std::int32_t>(choice_.work.piece_slots());
    view_.block_pieces =
        checked_cast<std::int32_t>(layout.block_slots / choice_.work.piece_slots());
}

void DeviceAttentionPlan::prepare(std::int64_t num_rows, std::span<AttentionItem const> items) {
    work_.build(num_rows, items);
    num_rows_ = num_rows;
    arena_.begin(room_for(work_.pieces) + room_for(work_.rows) + room_for(work_.visible) +
                 room_for(work_.wide.tiles) + room_for(work_.wide.cta_tiles) +
                 room_for(work_.narrow.tiles) + room_for(work_.narrow.cta_tiles) +
                 room_for(work_.tile_parts) + room_for(work_.combine_rows) +
                 room_for(work_.places));
    view_.pieces = put(arena_, work_.pieces);
    view_.rows = put(arena_, work_.rows);
    view_.visible = put(arena_, work_.visible);
    wide_tiles_ = put(arena_, work_.wide.tiles);
    wide_ctas_ = put(arena_, work_.wide.cta_tiles);
    narrow_tiles_ = put(arena_, work_.narrow.tiles);
    narrow_ctas_ = put(arena_, work_.narrow.cta_tiles);
    view_.parts = put(arena_, work_.tile_parts);
    view_.combine_rows = put(arena_, work_.combine_rows);
    view_.places = put(arena_, work_.places);
    arena_.end();
}

// Sizes of arrays are left out where their pointers tell them apart or kernels read them from the arrays.
void DeviceAttentionPlan::append_launch_key(std::vector<std::uint64_t>& key) const {
    for (void const* const pointer :
         {static_cast<void const*>(view_.pieces), static_cast<void const*>(view_.rows),
          static_cast<void const*>(view_.visible), static_cast<void const*>(view_.parts),
          static_cast<void const*>(view_.combine_rows), static_cast<void const*>(view_.places),
          static_cast<void const*>(wide_tiles_), static_cast<void const*>(wide_ctas_),
          static_cast<void const*>(narrow_tiles_), static_cast<void const*>(narrow_ctas_),
          static_cast<void const*>(scratch_bytes() > 0 ? gpu_->scratch(scratch_bytes())
                                                       : nullptr)}) {
        key.push_back(reinterpret_cast<std::uint64_t>(pointer));
    }
    for (auto const count : {num_rows_, static_cast<std::int64_t>(work_.wide.tiles.size()),
                             static_cast<std::int64_t>(work_.wide.cta_tiles.size()),
                             static_cast<std::int64_t>(work_.narrow.cta_tiles.size()),
                             static_cast<std::int64_t>(work_.combine_rows.size()),
                             work_.partial_rows, mapped_blocks()}) {
        key.push_back(static_cast<std::uint64_t>(count));
    }
}

std::int64_t DeviceAttentionPlan::mapped_blocks() const {
    constexpr std::int64_t kStep = 4096;
    return ceil_div(work_.num_blocks, kStep) * kStep;
}

std::int64_t DeviceAttentionPlan::scratch_bytes() const {
    return work_.partial_rows * (view_.value_dim + 1) * std::int64_t{sizeof(float)};
}

std::unique_ptr<AttentionPlan> make_attention_plan(ExecContext const& exec,
                                                   AttentionWork::Shape const& shape) {
    return std::make_unique<DeviceAttentionPlan>(exec, shape);
}

}  // namespace longhaul::kernels::cuda
