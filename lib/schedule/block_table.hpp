#pragma once

#include <cstdint>
#include <vector>

namespace longhaul::schedule {

/// Where one block of a sequence lies: the KVP coordinate that owns it and the block number in that coordinate's pools
/// (the same number in every layer, on every stage and tp rank).
struct BlockRef {
    std::int64_t coordinate = 0;
    std::int64_t pool_block = 0;

    friend bool operator==(BlockRef const&, BlockRef const&) = default;
};

/// Maps the blocks of one sequence, in order, to their places. Nothing outside may assume a placement policy.
struct BlockTable {
    std::vector<BlockRef> blocks;
};

/// How the blocks of a sequence are spread over the KVP ranks.
enum class KvPolicy {
    striped,  ///< block b on coordinate b mod kvp: balanced at every length
    single,  ///< the whole sequence on one coordinate: no merge traffic, for sequences too short to profit
    automatic,  ///< single below a length, striped above, decided from the job alone
};

}  // namespace longhaul::schedule
