#pragma once

#include <cstdint>
#include <span>
#include <vector>

/// How tiles of unequal lengths are cut and dealt out so that all CTAs end together. Host only, knows nothing of attention.
namespace longhaul::kernels::cuda {

struct ScheduleShape {
    std::int64_t num_ctas = 1;    ///< that run at a time
    std::int64_t min_part = 8;    ///< KV tiles below which a further cut does not pay
    std::int64_t fixed_part = 0;  ///< > 0: cut at these lengths whatever else there is
};

/// Parts of each tile, 1 for a whole one. `lengths` are in KV tiles.
/// Whole tiles in rounds over the CTAs, then the rest cut evenly: all row tiles of a head should walk the same KV range at
/// the same time, or each of them reads it from memory again.
[[nodiscard]] std::vector<std::int32_t> choose_splits(std::span<std::int64_t const> lengths,
                                                      ScheduleShape const& shape);

/// Order in which parts are dealt out: the long ones first, else as given.
[[nodiscard]] std::vector<std::int32_t> longest_first(std::span<std::int64_t const> lengths);

/// The CTA of each part when parts are dealt out in `order`, each to the CTA that has the least to do.
[[nodiscard]] std::vector<std::int32_t> deal_out(std::span<std::int64_t const> lengths,
                                                 std::span<std::int32_t const> order,
                                                 std::int64_t num_ctas);

}  // namespace longhaul::kernels::cuda
