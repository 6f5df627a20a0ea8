#include "kv/block_copy.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace longhaul::kv {
namespace {

kernels::KvLayout layout_of(DType dtype, std::int64_t slots, std::int64_t heads,
                            std::int64_t key_dim, std::int64_t value_dim) {
    kernels::KvLayout layout;
    layout.dtype = dtype;
    layout.block_slots = slots;
    layout.num_kv_heads = heads;
    layout.key_dim = key_dim;
    layout.value_dim = value_dim;
    return layout;
}

std::vector<kernels::KvLayout> layouts() {
    std::vector<kernels::KvLayout> result;
    for (DType const dtype : {DType::f32, DType::bf16}) {
        result.push_back(layout_of(dtype, 128, 3, 64, 64));
        result.push_back(layout_of(dtype, 16, 1, 8, 8));
        result.push_back(layout_of(dtype, 48, 5, 24, 40));
        result.push_back(layout_of(dtype, 64, 2, 256, 2));
    }
    return result;
}

std::vector<std::byte> random_bytes(std::int64_t count, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> bytes(static_cast<std::size_t>(count));
    for (std::byte& byte : bytes) {
        byte = static_cast<std::byte>(random());
    }
    return bytes;
}

// Element by element, with the offsets that the layout documents.
TEST(BlockCopy, CanonicalFormHoldsEveryElementInItsPlace) {
    for (kernels::KvLayout const& layout : layouts()) {
        std::vector<std::byte> const block = random_bytes(layout.block_bytes(), 7);
        std::vector<std::byte> canonical(block.size());
        std::int64_t const filled = layout.block_slots - 3;
        unpack_block(layout, block.data(), filled, canonical);

        auto const size = static_cast<std::size_t>(dtype_bytes(layout.dtype));
        std::vector<std::byte> const zero(size);
        std::byte const* at = canonical.data();
        for (bool const key : {true, false}) {
            std::int64_t const dims = key ? layout.key_dim : layout.value_dim;
            for (std::int64_t head = 0; head < layout.num_kv_heads; ++head) {
                for (std::int64_t slot = 0; slot < layout.block_slots; ++slot) {
                    for (std::int64_t dim = 0; dim < dims; ++dim, at += size) {
                        std::int64_t const offset = key ? layout.key_offset(head, slot, dim)
                                                        : layout.value_offset(head, slot, dim);
                        std::byte const* const expected =
                            slot < filled ? block.data() + offset : zero.data();
                        ASSERT_EQ(std::memcmp(at, expected, size), 0)
                            << "head " << head << " slot " << slot << " dim " << dim;
                    }
                }
            }
        }
    }
}

TEST(BlockCopy, PackingIsTheInverse) {
    for (kernels::KvLayout const& layout : layouts()) {
        std::vector<std::byte> const block = random_bytes(layout.block_bytes(), 11);
        std::vector<std::byte> canonical(block.size());
        std::vector<std::byte> again(block.size());
        unpack_block(layout, block.data(), layout.block_slots, canonical);
        pack_block(layout, canonical, again.data());
        EXPECT_EQ(again, block);
    }
}

}  // namespace
}  // namespace longhaul::kv
