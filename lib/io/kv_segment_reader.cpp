#include "io/kv_segment_reader.hpp"

#include "base/checked.hpp"
#include "base/crc32c.hpp"
#include "io/file_seal.hpp"
#include "io/positioned_io.hpp"

#include <fcntl.h>
#include <cerrno>
#include <cstring>
#include <utility>

namespace longhaul::io {

using detail::PartLayout;
using detail::stored_parts;

namespace {

template <class T>
std::vector<T> values_of(std::vector<std::byte> const& bytes) {
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
}

}  // namespace

KvSegmentReader::KvSegmentReader(std::filesystem::path path) : path_(std::move(path)) {
    file_ = FileDescriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    LH_VALIDATE(file_.valid(), "cannot open the KV segment {}: {}; restore it from a copy",
                path_.string(), errno_text(errno));
    FileSeal const seal = check_seal(file_.get(), path_);
    Hdf5File const file(path_);
    info_ = {path_.filename().string(), seal.file_bytes, 0, seal.checksum};
    read_shape(file);
    read_tables(file);
    find_parts(file);
    info_.blocks = static_cast<std::int64_t>(blocks_.size());
}

void KvSegmentReader::require(bool good, std::string const& what) const {
    LH_VALIDATE(good, "{} is not a sound KV segment: {}; remove it or restore it from a copy",
                path_.string(), what);
}

void KvSegmentReader::read_shape(Hdf5File const& file) {
    auto const text = [&](char const* name) {
        auto const value = file.text("/", name);
        require(value.has_value(), fmt::format("attribute {} is missing", name));
        return *value;
    };
    auto const number = [&](char const* name) {
        auto const value = file.integer("/", name);
        require(value.has_value(), fmt::format("attribute {} is missing", name));
        return *value;
    };
    require(text("format") == detail::kSegmentFormat, "it is another kind of file");
    std::int64_t const version = number("format_version");
    require(version == detail::kSegmentVersion,
            fmt::format("its format version is {} and this program reads {}", version,
                        detail::kSegmentVersion));
    shape_.model = text("model");
    std::string const dtype = text("dtype");
    require(dtype == dtype_name(DType::f32) || dtype == dtype_name(DType::bf16),
            fmt::format("its dtype '{}' is unknown", dtype));
    shape_.dtype = dtype == dtype_name(DType::f32) ? DType::f32 : DType::bf16;
    shape_.block_slots = number("block_slots");
    shape_.key_dim = number("key_dim");
    shape_.value_dim = number("value_dim");
    shape_.layers = {number("layer_begin"), number("layer_end")};
    shape_.kv_heads = {number("kv_head_begin"), number("kv_head_end")};
    shape_.num_layers = number("num_layers");
    shape_.num_kv_heads = number("num_kv_heads");
    check_segment_shape(shape_, path_);
}

std::vector<std::byte> KvSegmentReader::read_table(Hdf5File const& file, std::string const& name,
                                                   Hdf5Type type,
                                                   std::vector<std::int64_t> const& dims) const {
    Hdf5Dataset const info = file.dataset(name);
    require(info.type == type && info.dims == dims && info.chunk.empty(),
            fmt::format("{} has another type or size than the rest of the file", name));
    std::optional<std::int64_t> bytes = hdf5_type_bytes(type);
    for (std::int64_t const dim : dims) {
        if (bytes) bytes = checked_multiply(*bytes, dim);
    }
    // Only what the file can hold is allocated.
    require(
        bytes && info.address >= 0 && *bytes <= info_.bytes && info.address <= info_.bytes - *bytes,
        fmt::format("{} does not lie inside the file", name));
    std::vector<std::byte> content(static_cast<std::size_t>(*bytes));
    file.read(name, std::vector<std::int64_t>(dims.size()), dims, content);
    return content;
}

void KvSegmentReader::read_tables(Hdf5File const& file) {
    Hdf5Dataset const slots_info = file.dataset("/slots");
    require(slots_info.dims.size() == 1 && slots_info.dims[0] > 0, "/slots is no list of blocks");
    std::int64_t const num_blocks = slots_info.dims[0];
    auto const slots =
        values_of<std::int32_t>(read_table(file, "/slots", Hdf5Type::i32, {num_blocks}));
    auto const numbers =
        values_of<std::int64_t>(read_table(file, "/block_numbers", Hdf5Type::i64, {num_blocks}));
    auto const keys =
        values_of<std::uint64_t>(read_table(file, "/keys", Hdf5Type::u64, {num_blocks, 2}));
    for (std::size_t i = 0; i < slots.size(); ++i) {
        require(slots[i] >= 1 && slots[i] <= shape_.block_slots,
                fmt::format("block {} has {} filled slots of {}", i, slots[i], shape_.block_slots));
        require(numbers[i] >= 0, fmt::format("block {} has the number {}", i, numbers[i]));
        blocks_.push_back({{keys[2 * i], keys[2 * i + 1]}, numbers[i], slots[i]});
    }
    crcs_ = values_of<std::uint32_t>(
        read_table(file, "/crc32c", Hdf5Type::u32,
                   {shape_.layers.size(), 2, shape_.kv_heads.size(), num_blocks}));
}

void KvSegmentReader::find_parts(Hdf5File const& file) {
    auto const num_blocks = static_cast<std::int64_t>(blocks_.size());
    places_.assign(static_cast<std::size_t>(shape_.layers.size() * 2), 0);
    for (std::int64_t layer = 0; layer < shape_.layers.size(); ++layer) {
        for (KvPart const part : stored_parts(shape_)) {
            std::string const name = fmt::format(
                "/{}/{}", detail::layer_name(shape_.layers.begin + layer), detail::part_name(part));
            Hdf5Dataset const info = file.dataset(name);
            // First of all, so that no size below overflows.
            require(num_blocks <= info_.bytes / head_block_bytes(shape_, part),
                    fmt::format("{} does not lie inside the file", name));
            require(info.chunk.size() == 4 && info.chunk[1] >= 1 && info.chunk[1] <= num_blocks,
                    fmt::format("{} is not made of chunks of whole blocks", name));
            PartLayout const layout = detail::part_layout(shape_, part, num_blocks, info.chunk[1]);
            require(info.type == detail::element_type(shape_.dtype) && info.dims == layout.dims &&
                        info.chunk == layout.chunk,
                    fmt::format("{} has another type or size than the rest of the file", name));
            auto const bytes = checked_multiply(layout.dims[0], layout.row_bytes);
            require(bytes && info.address >= 0 && *bytes <= info_.bytes &&
                        info.address <= info_.bytes - *bytes,
                    fmt::format("{} does not lie inside the file", name));
            PartLayout& common = layouts_[static_cast<std::size_t>(part)];
            require(common.chunk.empty() || common.chunk == layout.chunk,
                    fmt::format("{} has other chunks than the layers before", name));
            common = layout;
            places_[static_cast<std::size_t>(layer * 2) + static_cast<std::size_t>(part)] =
                info.address;
        }
    }
}

std::int64_t KvSegmentReader::read_run(std::int64_t first, std::int64_t count, std::int64_t layer,
                                       std::int64_t kv_head, KvPart part,
                                       std::span<std::byte> out) const {
    auto const num_blocks = static_cast<std::int64_t>(blocks_.size());
    LH_EXPECT(first >= 0 && count >= 0 && first <= num_blocks && count <= num_blocks - first);
    LH_EXPECT(shape_.layers.contains(layer) && shape_.kv_heads.contains(kv_head));
    LH_EXPECT(part == KvPart::key || shape_.value_dim > 0);
    PartLayout const& layout = layouts_[static_cast<std::size_t>(part)];
    LH_EXPECT(std::cmp_equal(out.size(), count * layout.block_bytes));
    std::int64_t const row = (layer - shape_.layers.begin) * 2 + static_cast<std::int64_t>(part);
    std::int64_t const head = kv_head - shape_.kv_heads.begin;
    std::int64_t const place = places_[static_cast<std::size_t>(row)] + layout.offset(head, first);
    if (count == 0 || read_at(file_.get(), place, out) != 0) return 0;
    auto const crcs = std::span(crcs_).subspan(
        static_cast<std::size_t>((row * shape_.kv_heads.size() + head) * num_blocks + first));
    auto const size = static_cast<std::size_t>(layout.block_bytes);
    std::int64_t sound = 0;
    while (sound < count) {
        auto const index = static_cast<std::size_t>(sound);
        if (crc32c(out.subspan(index * size, size)) != crcs[index]) break;
        ++sound;
    }
    return sound;
}

bool KvSegmentReader::read(std::int64_t index, std::int64_t layer, std::int64_t kv_head,
                           KvPart part, std::span<std::byte> out) const {
    return read_run(index, 1, layer, kv_head, part, out) == 1;
}

bool KvSegmentReader::read_block(std::int64_t index, std::span<std::byte> out) const {
    LH_EXPECT(std::cmp_equal(out.size(), block_bytes(shape_)));
    for (std::int64_t layer = shape_.layers.begin; layer < shape_.layers.end; ++layer) {
        for (KvPart const part : stored_parts(shape_)) {
            auto const size = static_cast<std::size_t>(head_block_bytes(shape_, part));
            for (std::int64_t head = shape_.kv_heads.begin; head < shape_.kv_heads.end; ++head) {
                if (!read(index, layer, head, part, out.first(size))) return false;
                out = out.subspan(size);
            }
        }
    }
    return true;
}

}  // namespace longhaul::io
