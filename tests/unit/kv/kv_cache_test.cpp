#include "kv/kv_cache.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>

namespace longhaul::kv {
namespace {

kernels::KvLayout small_layout() { return {DType::bf16, 64, 2, 16, 16}; }

TEST(KvCache, LayersDoNotOverlap) {
    KvCache cache(small_layout(), 3, 5);
    auto const bytes = static_cast<std::size_t>(5 * cache.layout().block_bytes());
    std::memset(cache.layer_pool(1), 0x5a, bytes);

    EXPECT_EQ(cache.layer_pool(0)[bytes - 1], std::byte{0});
    EXPECT_EQ(cache.layer_pool(2)[0], std::byte{0});
    EXPECT_EQ(cache.layer_pool(1) + bytes, cache.layer_pool(2));
}

TEST(KvCache, ScrubZeroesOneBlockInEveryLayer) {
    KvCache cache(small_layout(), 2, 3);
    auto const block = static_cast<std::size_t>(cache.layout().block_bytes());
    for (std::int64_t layer = 0; layer < 2; ++layer) {
        std::memset(cache.layer_pool(layer), 0xff, 3 * block);
    }

    cache.scrub(1);

    for (std::int64_t layer = 0; layer < 2; ++layer) {
        EXPECT_EQ(cache.layer_pool(layer)[block - 1], std::byte{0xff});
        EXPECT_EQ(cache.layer_pool(layer)[block], std::byte{0});
        EXPECT_EQ(cache.layer_pool(layer)[2 * block - 1], std::byte{0});
        EXPECT_EQ(cache.layer_pool(layer)[2 * block], std::byte{0xff});
    }
}

TEST(KvCache, ReservesFarMoreThanTheMachineHas) {
    std::int64_t const blocks =
        (std::int64_t{1} << 40) / small_layout().block_bytes();  // 1 TiB, untouched
    KvCache cache(small_layout(), 1, blocks);
    cache.layer_pool(0)[(blocks - 1) * small_layout().block_bytes()] = std::byte{1};
    EXPECT_EQ(cache.capacity(), blocks);
}

TEST(KvCache, RefusesWhatNoAddressSpaceHolds) {
    EXPECT_THROW(KvCache(small_layout(), 1000, std::int64_t{1} << 50), ValidationError);
}

}  // namespace
}  // namespace longhaul::kv
