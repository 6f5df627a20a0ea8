#pragma once

#include "io/kv_segment.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <span>
#include <vector>

namespace longhaul::test {

/// A segment with random content, in canonical layout.
struct SegmentCase {
    io::KvSegmentShape shape;
    std::vector<io::KvSegmentBlock> blocks;
    std::vector<std::vector<std::byte>> data;

    [[nodiscard]] std::vector<std::span<std::byte const>> spans() const {
        return {data.begin(), data.end()};
    }

    /// One block's keys or values of one head; numbers of the model.
    [[nodiscard]] std::span<std::byte const> piece(std::size_t block, std::int64_t layer,
                                                   std::int64_t kv_head, io::KvPart part) const {
        std::int64_t const keys = io::head_block_bytes(shape, io::KvPart::key);
        std::int64_t const values = io::head_block_bytes(shape, io::KvPart::value);
        std::int64_t const heads = shape.kv_heads.size();
        std::int64_t offset = (layer - shape.layers.begin) * heads * (keys + values);
        if (part == io::KvPart::value) offset += heads * keys;
        std::int64_t const size = part == io::KvPart::key ? keys : values;
        offset += (kv_head - shape.kv_heads.begin) * size;
        return std::span(data[block])
            .subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
    }
};

/// Blocks 0, 1, ... of one sequence with random keys; the last one is not full.
inline SegmentCase make_segment_case(io::KvSegmentShape shape, std::int64_t num_blocks,
                                     std::mt19937_64& random) {
    SegmentCase result;
    result.shape = std::move(shape);
    auto const size = static_cast<std::size_t>(io::block_bytes(result.shape));
    for (std::int64_t block = 0; block < num_blocks; ++block) {
        bool const last = block + 1 == num_blocks;
        std::int64_t const slots =
            last ? 1 + static_cast<std::int64_t>(
                           random() % static_cast<std::uint64_t>(result.shape.block_slots))
                 : result.shape.block_slots;
        result.blocks.push_back({{random(), random()}, block, static_cast<std::int32_t>(slots)});
        std::vector<std::byte>& bytes = result.data.emplace_back(size);
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    }
    return result;
}

/// Layers 1 to 4 of 6 and heads 2 to 5 of 7: nothing begins at 0, nothing is a power of two.
inline io::KvSegmentShape odd_shape(DType dtype = DType::bf16) {
    io::KvSegmentShape shape;
    shape.model = "llama 0123456789abcdef, tokenizer fedcba9876543210";
    shape.dtype = dtype;
    shape.block_slots = 16;
    shape.key_dim = 24;
    shape.value_dim = 8;
    shape.layers = {1, 4};
    shape.kv_heads = {2, 5};
    shape.num_layers = 6;
    shape.num_kv_heads = 7;
    return shape;
}

}  // namespace longhaul::test
