#pragma once

#include <cstddef>
#include <cstdint>

namespace longhaul {

/// Hash of all entries of a sequence up to the last filled slot of a block: equal keys mean equal content (128 bits).
struct BlockKey {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    friend bool operator==(BlockKey const&, BlockKey const&) = default;
};

/// The key is a hash already.
struct BlockKeyHash {
    [[nodiscard]] std::size_t operator()(BlockKey const& key) const { return key.low; }
};

}  // namespace longhaul
