#pragma once

#include "kernels/exec_context.hpp"
#include "kernels/kv_layout.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace longhaul::kernels {

/// `count` consecutive pool blocks that hold consecutive blocks of a sequence's shard on this rank.
/// Block i of the extent starts at global slot first_slot + i * slot_stride (slot_stride = block_slots when every block of
/// the sequence lies here, kvp * block_slots with the striped policy), so the hot kernel walks long runs.
struct KvExtent {
    std::int64_t block = 0;
    std::int64_t count = 0;
    std::int64_t first_slot = 0;
    std::int64_t slot_stride = 0;
};

/// Some query rows against some extents. A row sees the slots g of the extents with
/// slot_begin <= g < slot_end, and g < visible[i] where `visible` is not empty (one entry per row).
/// History items have no `visible` (no mask, nearly all of the work); diagonal items have it.
struct AttentionItem {
    std::span<std::int32_t const>
        rows;  ///< query rows, any order; rows of several jobs that share a document may meet here
    std::span<KvExtent const> extents;
    std::int64_t slot_begin = 0;
    std::int64_t slot_end = 0;
    std::span<std::int64_t const> visible;
};

/// What stays equal over the layers of a step, in the form that the backend works from: prepared once a step, used by every
/// layer. On a GPU that is the cut into tiles and KV splits, in device memory.
class AttentionWork {
  public:
    struct Shape {
        KvLayout layout;
        std::int64_t num_heads = 0;
        /// KV is split at fixed lengths, so that a row's bits do not depend on the other rows; else as the GPU is filled best.
        bool fixed_splits = false;
    };
    struct Impl;
    /// Length of a part with fixed splits: long enough that merging costs nothing beside, short enough that a million slots of
    /// one head fill a GPU.
    static constexpr std::int64_t kFixedPartSlots = 8192;

    AttentionWork(ExecContext const& exec, Shape const& shape);

    /// Bytes of a GPU's memory that partial results of `num_rows` rows over at most `num_slots` slots each can take. A row
    /// stands in up to three items (document, rest of the history, own chunk).
    [[nodiscard]] static std::int64_t partial_bytes(Shape const& shape, std::int64_t num_rows,
                                                    std::int64_t num_slots);
    ~AttentionWork();
    AttentionWork(AttentionWork&&) noexcept;
    AttentionWork& operator=(AttentionWork&&) noexcept;

    /// Items are host memory and read at once. What an earlier call prepared may still be in use by queued kernels.
    void prepare(std::int64_t num_rows, std::span<AttentionItem const> items);

    /// Appends everything that the launches of `attention` depend on besides its own arguments (GPU): where it is equal, a
    /// recorded call attends to what was prepared last.
    void append_launch_key(std::vector<std::uint64_t>& key) const;

    [[nodiscard]] Impl const& impl() const { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

/// Attends queries to this rank's KV blocks and returns partial results that merge by LSE (flash attention).
///
/// Shapes   queries [num_rows, num_heads, key_dim] of layout.dtype; pool: blocks of one layer as KvLayout says;
///          out [num_rows, num_heads, value_dim] f32, normalised over the slots seen here; lse [num_rows, num_heads] f32
/// Units    scores are scaled by `scale`; lse is the natural log of the sum of exponentials
/// Requires num_heads % layout.num_kv_heads == 0 (query head h reads KV head h / group); dims are multiples of 8 up to 256,
///          block_slots a multiple of 16, scale > 0; a row stands once in an item and may stand in several, then their slots
///          are disjoint and its results merge in item order
/// Effects  a row that sees nothing gets out = 0, lse = -inf; rows in no item too. No allocation beyond thread scratch (cuda: the
///          GPU's scratch grows, see partial_bytes; without `work`, a plan of this call's own).
///          A row that sees a NaN score, or one of +inf, gets NaN in out and lse; no other row does. A score of -inf weighs
///          nothing, like a slot not seen: results over parts of the slots could not be merged otherwise.
///          Long extents are fastest: the next block is fetched while one is worked on, and only inside an extent.
/// Repeatable  (cuda: with fixed_splits) a row's bits depend on its own query, and per item on extents, slot range and its
///          visible count alone: not on the other rows of the item, on other items, or on the number of threads (fixed KV splits, merged in order)
/// Source   Milakov & Gimelshein 2018, arXiv:1805.02867; Dao 2023, arXiv:2307.08691
struct AttentionArgs {
    KvLayout layout;
    std::byte const* pool = nullptr;
    void const* queries = nullptr;
    std::int64_t num_rows = 0;
    std::int64_t num_heads = 0;
    float scale = 1.0F;
    std::span<AttentionItem const> items;  ///< host memory
    AttentionWork const* work =
        nullptr;  ///< prepared from the same items; null: prepared for this call alone
    float* out = nullptr;
    float* lse = nullptr;
};
void attention(ExecContext const& exec, AttentionArgs const& args);

}  // namespace longhaul::kernels
