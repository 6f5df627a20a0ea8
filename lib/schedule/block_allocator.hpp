#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace longhaul::schedule {

/// Hands out blocks [0, capacity) of one KVP coordinate's pool in runs as long as possible, so that the extents the
/// attention kernel walks stay long. Pure and deterministic: every rank of a replica holds an equal copy.
class BlockAllocator {
  public:
    explicit BlockAllocator(std::int64_t capacity);

    [[nodiscard]] std::int64_t capacity() const { return capacity_; }
    [[nodiscard]] std::int64_t num_free() const { return num_free_; }

    /// `count` blocks in ascending runs: the smallest run that holds all of them, else the largest runs first.
    /// Requires count <= num_free().
    [[nodiscard]] std::vector<std::int64_t> allocate(std::int64_t count);

    void free(std::int64_t block);

  private:
    void take(std::int64_t start, std::int64_t count, std::vector<std::int64_t>& out);

    std::int64_t capacity_;
    std::int64_t num_free_;
    std::map<std::int64_t, std::int64_t> runs_;  // first block -> length
};

}  // namespace longhaul::schedule
