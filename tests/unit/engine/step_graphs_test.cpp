#include "engine/step_graphs.hpp"

#include "comm/loopback.hpp"

#include <gtest/gtest.h>

#include <set>

namespace longhaul::engine {
namespace {

using Key = StepGraphs::Key;

/// What is appended to the keys of all ranks, by rank.
std::vector<Key> appended(std::vector<Key> const& keys) {
    std::vector<Key> tails(keys.size());
    comm::run_loopback(static_cast<int>(keys.size()), [&](comm::Communicator& world) {
        auto const rank = static_cast<std::size_t>(world.rank());
        Key key = keys[rank];
        append_keys_of_all(world, key);
        auto const old = keys[rank].size();
        EXPECT_EQ(Key(key.begin(), key.begin() + static_cast<std::ptrdiff_t>(old)), keys[rank]);
        tails[rank].assign(key.begin() + static_cast<std::ptrdiff_t>(old), key.end());
    });
    return tails;
}

// Ranks that know the same key of all record and launch together.
TEST(KeysOfAll, AreTheSameEverywhereAndOthersWhereAnyKeyIs) {
    std::vector<std::vector<Key>> const steps{
        {{1, 2, 3}, {1, 2, 3}, {1, 2, 3}}, {{1, 2, 4}, {1, 2, 3}, {1, 2, 3}},
        {{1, 2, 3}, {1, 2, 4}, {1, 2, 3}}, {{1, 2, 3}, {1, 2, 3}, {1, 2, 4}},
        {{1, 2, 3}, {1, 2, 3}, {1, 2}},    {{}, {1, 2, 3}, {1, 2, 3}},
        {{1, 2, 5}, {1, 2, 4}, {1, 2, 3}}, {{1, 2, 4}, {1, 2, 5}, {1, 2, 3}},
    };
    std::set<Key> seen;
    for (std::vector<Key> const& keys : steps) {
        std::vector<Key> const tails = appended(keys);
        for (Key const& tail : tails) {
            EXPECT_EQ(tail, tails.front());
        }
        EXPECT_TRUE(seen.insert(tails.front()).second);
        EXPECT_EQ(appended(keys), tails) << "and the same again in another step";
    }
}

}  // namespace
}  // namespace longhaul::engine
