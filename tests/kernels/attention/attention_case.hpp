#pragma once

#include "device/gpu.hpp"
#include "kernels/attention.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <span>
#include <vector>

namespace longhaul::kernels::test {

struct CaseShape {
    DType dtype = DType::f32;
    std::int64_t block_slots = 64;
    std::int64_t num_kv_heads = 1;
    std::int64_t group = 1;
    std::int64_t key_dim = 64;
    std::int64_t value_dim = 64;
    std::int64_t num_rows = 1;
    std::int64_t pool_blocks = 8;
    float magnitude = 1.0F;  ///< standard deviation of queries, keys and values
};

struct AttentionResult {
    std::vector<float> out;
    std::vector<float> lse;
};

/// A pool full of noise, queries, and work items with their storage.
class AttentionCase {
  public:
    AttentionCase(CaseShape const& shape, std::uint64_t seed);
    ~AttentionCase() = default;
    AttentionCase(AttentionCase&&) = default;
    AttentionCase& operator=(AttentionCase&&) = default;
    AttentionCase(AttentionCase const&) = delete;  // items point into the storage
    AttentionCase& operator=(AttentionCase const&) = delete;

    void add_item(std::vector<std::int32_t> rows, std::vector<KvExtent> extents,
                  std::int64_t slot_begin, std::int64_t slot_end,
                  std::vector<std::int64_t> visible = {});
    void clear_items();
    [[nodiscard]] std::span<AttentionItem const> items() const { return items_; }
    [[nodiscard]] CaseShape const& shape() const { return shape_; }
    [[nodiscard]] KvLayout layout() const;
    [[nodiscard]] std::int64_t num_heads() const { return shape_.num_kv_heads * shape_.group; }
    [[nodiscard]] AttentionArgs args() const;
    [[nodiscard]] std::span<std::byte const> pool() const { return pool_; }
    [[nodiscard]] std::span<std::byte const> queries() const { return queries_; }
    /// The pool as KvPacking::rows has it.
    [[nodiscard]] std::vector<std::byte> pool_in_rows() const;

    void set_query(std::int64_t row, std::int64_t head, std::int64_t dim, float value);
    void set_key(std::int64_t block, std::int64_t kv_head, std::int64_t slot, std::int64_t dim,
                 float value);
    void set_value(std::int64_t block, std::int64_t kv_head, std::int64_t slot, std::int64_t dim,
                   float value);
    [[nodiscard]] double largest_value() const;
    [[nodiscard]] bool sees(std::int64_t row, std::int64_t block, std::int64_t slot) const;

    /// On a GPU: the pool is packed anew for it and brought there with the queries. Outputs are poisoned before.
    [[nodiscard]] AttentionResult run(ExecContext const& exec, bool fixed_splits = false) const;
    [[nodiscard]] AttentionResult run_reference() const { return run({Backend::reference}); }
    /// Unfused bf16: scores and probabilities rounded to bf16 as an ordinary implementation stores them.
    [[nodiscard]] AttentionResult run_naive_bf16() const;

  private:
    struct ItemStorage {
        std::vector<std::int32_t> rows;
        std::vector<KvExtent> extents;
        std::vector<std::int64_t> visible;
    };
    struct SeenSlot {
        std::byte const* block = nullptr;
        std::int64_t slot = 0;
    };
    [[nodiscard]] std::vector<SeenSlot> seen_slots(std::int64_t row) const;
    [[nodiscard]] AttentionResult run_on_gpu(ExecContext const& exec, bool fixed_splits) const;
    void attend_naive(std::int64_t row, std::int64_t head, AttentionResult& result) const;

    CaseShape shape_;
    std::vector<std::byte> pool_;
    std::vector<std::byte> queries_;
    std::deque<ItemStorage> storage_;  ///< items_ point into it
    std::vector<AttentionItem> items_;
};

/// Blocks of a sequence of `slots` slots that KVP rank `rank` of `kvp` owns (striped), in runs of random length with gaps,
/// from pool block `next_block` on, which is moved behind them.
[[nodiscard]] std::vector<KvExtent> place_sequence(CaseShape const& shape, std::int64_t slots,
                                                   std::int64_t rank, std::int64_t kvp,
                                                   std::int64_t& next_block,
                                                   std::mt19937_64& random);

/// Bounds of test_support::attention_tolerance; -inf must stand in the same places.
void expect_close(AttentionCase const& attention, AttentionResult const& result,
                  AttentionResult const& expected);

/// The first GPU of this machine; null where there is none.
[[nodiscard]] device::Gpu* test_gpu();

/// Every instruction set that this processor has.
[[nodiscard]] std::vector<Isa> available_isas();
[[nodiscard]] char const* isa_name(Isa isa);

[[nodiscard]] inline std::int64_t pick(std::mt19937_64& random, std::int64_t low,
                                       std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

}  // namespace longhaul::kernels::test
