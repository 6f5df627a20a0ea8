#pragma once

#include "base/block_key.hpp"
#include "base/range.hpp"
#include "base/types.hpp"
#include "io/kv_segment_info.hpp"

#include <cstdint>
#include <filesystem>
#include <string>

namespace longhaul::io {

enum class KvPart { key, value };

/// What one rank keeps of a block: its layers and KV heads, in the model's numbering.
struct KvSegmentShape {
    std::string model;  ///< fingerprint of weights and tokenizer
    DType dtype = DType::bf16;
    std::int64_t block_slots = 0;
    std::int64_t key_dim = 0;
    std::int64_t value_dim = 0;  ///< 0: values are part of the keys, none are stored
    Range layers;
    Range kv_heads;
    std::int64_t num_layers = 0;    ///< of the model
    std::int64_t num_kv_heads = 0;  ///< of the model

    friend bool operator==(KvSegmentShape const&, KvSegmentShape const&) = default;
};

/// One block of a segment.
struct KvSegmentBlock {
    BlockKey key;
    std::int64_t block = 0;  ///< its number in the sequences that hold it
    std::int32_t slots = 0;  ///< filled ones, 1 to block_slots; the others are zero

    friend bool operator==(KvSegmentBlock const&, KvSegmentBlock const&) = default;
};

/// Bytes of one block's keys or values of one head of one layer: [block_slots][dim], contiguous.
[[nodiscard]] std::int64_t head_block_bytes(KvSegmentShape const& shape, KvPart part);

/// Bytes of one block in canonical layout: [layer][K, then V][kv_head][block_slots][dim], contiguous.
[[nodiscard]] std::int64_t block_bytes(KvSegmentShape const& shape);

/// Refuses a shape that no segment can have.
/// Errors      ValidationError naming `path`
void check_segment_shape(KvSegmentShape const& shape, std::filesystem::path const& path);

}  // namespace longhaul::io
