#include "io/kv_segment.hpp"

#include "base/checked.hpp"
#include "io/kv_segment_layout.hpp"

#include <algorithm>

namespace longhaul::io {
namespace {

constexpr std::int64_t kMaxChunkBytes = std::int64_t{4} << 20;
constexpr std::int64_t kMaxModelBytes = 4096;
// Far above any model; they keep products of sizes inside 64 bits.
constexpr std::int64_t kMaxLayers = 99'999;
constexpr std::int64_t kMaxHeads = 1 << 16;
constexpr std::int64_t kMaxDim = 1 << 16;
constexpr std::int64_t kMaxSlots = 1 << 13;

bool holds(std::int64_t total, std::int64_t most, Range range) {
    return total > 0 && total <= most && range.begin >= 0 && range.begin < range.end &&
           range.end <= total;
}

}  // namespace

std::int64_t head_block_bytes(KvSegmentShape const& shape, KvPart part) {
    std::int64_t const dim = part == KvPart::key ? shape.key_dim : shape.value_dim;
    return shape.block_slots * dim * dtype_bytes(shape.dtype);
}

std::int64_t block_bytes(KvSegmentShape const& shape) {
    return shape.layers.size() * shape.kv_heads.size() *
           (head_block_bytes(shape, KvPart::key) + head_block_bytes(shape, KvPart::value));
}

void check_segment_shape(KvSegmentShape const& shape, std::filesystem::path const& path) {
    auto const require = [&](bool good, char const* what) {
        LH_VALIDATE(good, "{}: a KV segment cannot have {}; check the model and the grid",
                    path.string(), what);
    };
    auto const model_bytes = static_cast<std::int64_t>(shape.model.size());
    require(model_bytes > 0 && model_bytes <= kMaxModelBytes &&
                shape.model.find('\0') == std::string::npos,
            "an empty or endless model fingerprint");
    require(holds(shape.num_layers, kMaxLayers, shape.layers), "this range of layers");
    require(holds(shape.num_kv_heads, kMaxHeads, shape.kv_heads), "this range of KV heads");
    require(shape.block_slots > 0 && shape.block_slots <= kMaxSlots,
            "this number of slots a block");
    require(shape.key_dim > 0 && shape.key_dim <= kMaxDim, "keys of this size");
    require(shape.value_dim >= 0 && shape.value_dim <= kMaxDim, "values of this size");
}

namespace detail {

std::int64_t choose_chunk_blocks(std::int64_t block_bytes, std::int64_t num_blocks) {
    std::int64_t const most = std::clamp<std::int64_t>(kMaxChunkBytes / block_bytes, 1, num_blocks);
    // A row that fits is one chunk; otherwise the size of 1 to 4 MiB that pads least, the larger of equals.
    std::int64_t best = most;
    std::int64_t const least = num_blocks == most ? most : std::max<std::int64_t>(1, most / 4);
    for (std::int64_t blocks = most; blocks >= least; --blocks) {
        if (round_up(num_blocks, blocks) < round_up(num_blocks, best)) best = blocks;
    }
    return best;
}

PartLayout part_layout(KvSegmentShape const& shape, KvPart part, std::int64_t num_blocks,
                       std::int64_t chunk_blocks) {
    PartLayout layout;
    layout.block_bytes = head_block_bytes(shape, part);
    LH_EXPECT(layout.block_bytes > 0 && num_blocks > 0);
    if (chunk_blocks == 0) chunk_blocks = choose_chunk_blocks(layout.block_bytes, num_blocks);
    layout.row_bytes = round_up(num_blocks, chunk_blocks) * layout.block_bytes;
    std::int64_t const dim = part == KvPart::key ? shape.key_dim : shape.value_dim;
    layout.dims = {shape.kv_heads.size(), num_blocks, shape.block_slots, dim};
    layout.chunk = {1, chunk_blocks, shape.block_slots, dim};
    return layout;
}

std::vector<KvPart> stored_parts(KvSegmentShape const& shape) {
    if (shape.value_dim == 0) return {KvPart::key};
    return {KvPart::key, KvPart::value};
}

std::string layer_name(std::int64_t layer) { return fmt::format("layer_{:05}", layer); }

std::string part_name(KvPart part) { return part == KvPart::key ? "key" : "value"; }

Hdf5Type element_type(DType dtype) { return dtype == DType::f32 ? Hdf5Type::f32 : Hdf5Type::u16; }

}  // namespace detail
}  // namespace longhaul::io
