#pragma once

#include "io/checkpoint_names.hpp"
#include "io/kv_segment_writer.hpp"
#include "io/kv_store.hpp"
#include "support/kv/segment_case.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::test {

/// A model of 3 layers and 3 KV heads; small, so that a store of many documents is made at once.
inline io::KvSegmentShape store_shape() {
    io::KvSegmentShape shape;
    shape.model = "model-1";
    shape.dtype = DType::bf16;
    shape.block_slots = 4;
    shape.key_dim = 6;
    shape.value_dim = 2;
    shape.layers = {0, 3};
    shape.kv_heads = {0, 3};
    shape.num_layers = 3;
    shape.num_kv_heads = 3;
    return shape;
}

inline io::KvStoreIdentity identity_of(io::KvSegmentShape const& shape) {
    return {shape.model, shape.dtype, shape.block_slots};
}

inline io::KvStoreIdentity store_identity() { return identity_of(store_shape()); }

/// Writes what `stages` x `kvp` x `tp` ranks would write of a document: blocks striped over kvp, the last one not full.
inline io::KvStoreEntry write_document(std::filesystem::path const& folder, std::string name,
                                       std::int64_t num_blocks, std::int64_t seed,
                                       io::KvSegmentShape const& whole = store_shape(),
                                       std::int64_t stages = 2, std::int64_t kvp = 2,
                                       std::int64_t tp = 2) {
    std::filesystem::create_directories(folder);
    std::mt19937_64 random(static_cast<std::uint64_t>(seed));
    SegmentCase const content = make_segment_case(whole, num_blocks, random);
    io::KvStoreEntry entry;
    entry.document = std::move(name);
    entry.num_tokens = (num_blocks - 1) * whole.block_slots + content.blocks.back().slots;
    for (auto const& block : content.blocks) entry.keys.push_back(block.key);
    for (std::int64_t rank = 0; rank < stages * kvp * tp; ++rank) {
        std::int64_t const stage = rank / (kvp * tp);
        std::int64_t const stripe = rank / tp % kvp;
        SegmentCase part;
        part.shape = whole;
        part.shape.layers = split_range(whole.num_layers, stages, stage);
        part.shape.kv_heads = split_range(whole.num_kv_heads, tp, rank % tp);
        for (std::int64_t block = stripe; block < num_blocks; block += kvp) {
            auto const index = static_cast<std::size_t>(block);
            part.blocks.push_back(content.blocks[index]);
            auto& bytes = part.data.emplace_back();
            for (std::int64_t layer = part.shape.layers.begin; layer < part.shape.layers.end;
                 ++layer) {
                for (io::KvPart const kind : {io::KvPart::key, io::KvPart::value}) {
                    for (std::int64_t head = part.shape.kv_heads.begin;
                         head < part.shape.kv_heads.end; ++head) {
                        auto const piece = content.piece(index, layer, head, kind);
                        bytes.insert(bytes.end(), piece.begin(), piece.end());
                    }
                }
            }
        }
        if (part.blocks.empty()) continue;
        auto const path = folder / io::segment_name({1, 0, stage, stripe, rank % tp, seed});
        entry.segments.push_back(io::write_kv_segment(path, part.shape, part.blocks, part.spans()));
    }
    return entry;
}

}  // namespace longhaul::test
