#include "io/kv_segment_writer.hpp"

#include "base/checked.hpp"
#include "base/crc32c.hpp"
#include "io/file_seal.hpp"
#include "io/kv_segment_layout.hpp"
#include "io/positioned_io.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <utility>

namespace longhaul::io {

using detail::part_layout;
using detail::PartLayout;
using detail::stored_parts;

namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kPage = 4096;
constexpr std::int64_t kWriteBytes = kMiB / 4;

// Stripe-aligned where a dataset is so large that the gaps do not count, page-aligned elsewhere.
Hdf5Image::Alignment alignment_for(KvSegmentShape const& shape, std::int64_t num_blocks) {
    std::int64_t const bytes = part_layout(shape, KvPart::key, num_blocks).bytes();
    if (bytes >= 16 * kMiB) return {16 * kMiB, kMiB};
    return {16 * kPage, kPage};
}

KvSegmentShape checked_shape(KvSegmentShape shape, std::filesystem::path const& path) {
    check_segment_shape(shape, path);
    return shape;
}

std::vector<KvSegmentBlock> checked_blocks(std::vector<KvSegmentBlock> blocks,
                                           KvSegmentShape const& shape) {
    LH_EXPECT(!blocks.empty());
    for (KvSegmentBlock const& block : blocks) {
        LH_EXPECT(block.block >= 0 && block.slots >= 1 && block.slots <= shape.block_slots);
    }
    return blocks;
}

// Subtracts from `written` what the reserved places take: ascending, disjoint ranges on both sides.
std::vector<Range> without(std::vector<Range> const& written, std::vector<Range> const& reserved) {
    std::vector<Range> rest;
    for (Range left : written) {
        for (Range const& taken : reserved) {
            if (taken.end <= left.begin || taken.begin >= left.end) continue;
            if (taken.begin > left.begin) rest.push_back({left.begin, taken.begin});
            left.begin = taken.end;
        }
        if (!left.empty()) rest.push_back(left);
    }
    return rest;
}

template <class T>
std::span<std::byte const> bytes_of(std::vector<T> const& values) {
    return std::as_bytes(std::span<T const>(values));
}

}  // namespace

KvSegmentWriter::KvSegmentWriter(std::filesystem::path path, KvSegmentShape shape,
                                 std::vector<KvSegmentBlock> blocks)
    : path_(std::move(path)),
      shape_(checked_shape(std::move(shape), path_)),
      blocks_(checked_blocks(std::move(blocks), shape_)),
      image_(alignment_for(shape_, static_cast<std::int64_t>(blocks_.size()))),
      crcs_(static_cast<std::size_t>(shape_.layers.size() * 2 * shape_.kv_heads.size()) *
            blocks_.size()),
      added_(blocks_.size()) {
    // Before HDF5 sizes the image, which is as long as the file.
    std::int64_t room =
        kMiB + 2 * static_cast<std::int64_t>(crcs_.size() * 4 + blocks_.size() * 28);
    for (KvPart const part : stored_parts(shape_)) {
        PartLayout& layout = layouts_[static_cast<std::size_t>(part)];
        layout = part_layout(shape_, part, static_cast<std::int64_t>(blocks_.size()));
        room += shape_.layers.size() * (layout.bytes() + kMiB);
    }
    rlimit limit{};
    if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < static_cast<rlim_t>(room)) {
        throw_io_error(path_, "write", EFBIG);
    }
    create_parts();
    temporary_ = path_;
    temporary_ += ".tmp";
    file_ =
        FileDescriptor(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file_.valid()) throw_io_error(temporary_, "create", errno);
    make_room();
}

KvSegmentWriter::~KvSegmentWriter() {
    if (file_.valid()) ::unlink(temporary_.c_str());
}

void KvSegmentWriter::create_parts() {
    image_.set("/", "format", std::string(detail::kSegmentFormat));
    image_.set("/", "format_version", detail::kSegmentVersion);
    image_.set("/", "model", shape_.model);
    image_.set("/", "dtype", std::string(dtype_name(shape_.dtype)));
    image_.set("/", "block_slots", shape_.block_slots);
    image_.set("/", "key_dim", shape_.key_dim);
    image_.set("/", "value_dim", shape_.value_dim);
    image_.set("/", "layer_begin", shape_.layers.begin);
    image_.set("/", "layer_end", shape_.layers.end);
    image_.set("/", "kv_head_begin", shape_.kv_heads.begin);
    image_.set("/", "kv_head_end", shape_.kv_heads.end);
    image_.set("/", "num_layers", shape_.num_layers);
    image_.set("/", "num_kv_heads", shape_.num_kv_heads);
    places_.assign(static_cast<std::size_t>(shape_.layers.size() * 2), 0);
    for (std::int64_t layer = 0; layer < shape_.layers.size(); ++layer) {
        std::string const group = "/" + detail::layer_name(shape_.layers.begin + layer);
        image_.create_group(group);
        for (KvPart const part : stored_parts(shape_)) {
            PartLayout const& layout = layouts_[static_cast<std::size_t>(part)];
            std::string const name = group + "/" + detail::part_name(part);
            places_[static_cast<std::size_t>(layer * 2) + static_cast<std::size_t>(part)] =
                image_.reserve(name, detail::element_type(shape_.dtype), layout.dims, layout.chunk);
            image_.set(name, "dtype", std::string(dtype_name(shape_.dtype)));
        }
    }
}

void KvSegmentWriter::make_room() {
    std::int64_t end = 0;
    for (KvPart const part : stored_parts(shape_)) {
        PartLayout const& layout = layouts_[static_cast<std::size_t>(part)];
        for (std::size_t i = static_cast<std::size_t>(part); i < places_.size(); i += 2) {
            end = std::max(end, places_[i] + layout.bytes());
        }
    }
    // A full disk shows here and not after minutes, and the file comes to lie in one piece. Not every file system can.
    if (::fallocate(file_.get(), 0, 0, end) != 0 && errno != EOPNOTSUPP && errno != ENOSYS) {
        int const error = errno;
        ::unlink(temporary_.c_str());
        throw_io_error(path_, "write", error);
    }
}

void KvSegmentWriter::add(std::int64_t first, std::span<std::span<std::byte const> const> data) {
    LH_EXPECT(file_.valid() && first >= 0 && std::cmp_less_equal(first, added_.size()) &&
              data.size() <= added_.size() - static_cast<std::size_t>(first));
    for (std::size_t i = 0; i < data.size(); ++i) {
        auto added = added_[static_cast<std::size_t>(first) + i];
        LH_EXPECT(!added && std::cmp_equal(data[i].size(), block_bytes(shape_)));
        added = true;
    }
    std::int64_t piece_offset = 0;
    for (std::int64_t layer = 0; layer < shape_.layers.size(); ++layer) {
        for (KvPart const part : stored_parts(shape_)) {
            for (std::int64_t head = 0; head < shape_.kv_heads.size(); ++head) {
                write_piece(first, data, layer, part, head, piece_offset);
                piece_offset += head_block_bytes(shape_, part);
            }
        }
    }
}

void KvSegmentWriter::write_piece(std::int64_t first,
                                  std::span<std::span<std::byte const> const> data,
                                  std::int64_t layer, KvPart part, std::int64_t head,
                                  std::int64_t piece_offset) {
    PartLayout const& layout = layouts_[static_cast<std::size_t>(part)];
    std::int64_t const row = layer * 2 + static_cast<std::int64_t>(part);
    auto const crc_row =
        static_cast<std::size_t>(row * shape_.kv_heads.size() + head) * blocks_.size();
    std::int64_t const begin = places_[static_cast<std::size_t>(row)] + layout.offset(head, first);
    std::int64_t place = begin;
    std::vector<iovec> pieces;
    std::int64_t waiting = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
        auto const bytes = data[i].subspan(static_cast<std::size_t>(piece_offset),
                                           static_cast<std::size_t>(layout.block_bytes));
        crcs_[crc_row + static_cast<std::size_t>(first) + i] = crc32c(bytes);
        // iovec is not const-correct; a write only reads.
        pieces.push_back({const_cast<std::byte*>(bytes.data()), bytes.size()});
        waiting += layout.block_bytes;
        // Not longer, so that what the CRC has read is still in the core's cache when it is written.
        if (waiting < kWriteBytes && i + 1 < data.size()) continue;
        if (int const error = write_pieces_at(file_.get(), place, pieces); error != 0) {
            throw_io_error(temporary_, "write", error);
        }
        place += waiting;
        waiting = 0;
        pieces.clear();
    }
    // The disk begins while the next piece is copied; whether it did well shows at the end. Short pieces would only be torn
    // out of the longer writes they become there.
    std::int64_t const bytes = place - begin;
    if (bytes >= kWriteBytes) {
        ::sync_file_range(file_.get(), begin, bytes, SYNC_FILE_RANGE_WRITE);
    }
}

void KvSegmentWriter::write_tables() {
    auto const num_blocks = static_cast<std::int64_t>(blocks_.size());
    std::vector<std::uint64_t> keys;
    std::vector<std::int64_t> numbers;
    std::vector<std::int32_t> slots;
    for (KvSegmentBlock const& block : blocks_) {
        keys.insert(keys.end(), {block.key.low, block.key.high});
        numbers.push_back(block.block);
        slots.push_back(block.slots);
    }
    image_.write("/keys", Hdf5Type::u64, {num_blocks, 2}, bytes_of(keys));
    image_.write("/block_numbers", Hdf5Type::i64, {num_blocks}, bytes_of(numbers));
    image_.write("/slots", Hdf5Type::i32, {num_blocks}, bytes_of(slots));
    image_.write("/crc32c", Hdf5Type::u32,
                 {shape_.layers.size(), 2, shape_.kv_heads.size(), num_blocks}, bytes_of(crcs_));
}

// Copies what HDF5 wrote in memory into the file and says where it lies.
std::vector<Range> KvSegmentWriter::write_structure() {
    std::vector<Range> reserved;
    for (std::size_t i = 0; i < places_.size(); ++i) {
        if (i % 2 != 0 && shape_.value_dim == 0) continue;
        auto const part = static_cast<KvPart>(i % 2);
        PartLayout const& layout = layouts_[static_cast<std::size_t>(part)];
        reserved.push_back({places_[i], places_[i] + layout.bytes()});
    }
    std::sort(reserved.begin(), reserved.end(),
              [](Range const& a, Range const& b) { return a.begin < b.begin; });
    std::vector<Range> structure = without(image_.written(), reserved);
    std::vector<std::byte> buffer;
    for (Range const& range : structure) {
        for (std::int64_t at = range.begin; at < range.end;) {
            buffer.resize(static_cast<std::size_t>(std::min(range.end - at, kMiB)));
            image_.read(at, buffer);
            if (int const error = write_at(file_.get(), at, buffer); error != 0) {
                throw_io_error(temporary_, "write", error);
            }
            at += static_cast<std::int64_t>(buffer.size());
        }
    }
    return structure;
}

void KvSegmentWriter::sync() {
    LH_EXPECT(file_.valid());
    if (::fdatasync(file_.get()) != 0) throw_io_error(temporary_, "sync", errno);
}

KvSegmentInfo KvSegmentWriter::finish() {
    LH_EXPECT(file_.valid() && std::find(added_.begin(), added_.end(), false) == added_.end());
    write_tables();
    image_.finish();
    std::vector<Range> const structure = write_structure();
    FileSeal const seal = write_seal(file_.get(), temporary_, image_.size(), structure);
    if (::fsync(file_.get()) != 0) throw_io_error(temporary_, "sync", errno);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_io_error(path_, "write", errno);
    file_ = FileDescriptor();
    sync_folder(path_.parent_path().empty() ? "." : path_.parent_path());
    return {path_.filename().string(), seal.file_bytes, static_cast<std::int64_t>(blocks_.size()),
            seal.checksum};
}

KvSegmentInfo write_kv_segment(std::filesystem::path const& path, KvSegmentShape const& shape,
                               std::vector<KvSegmentBlock> blocks,
                               std::span<std::span<std::byte const> const> data) {
    LH_EXPECT(data.size() == blocks.size());
    KvSegmentWriter writer(path, shape, std::move(blocks));
    writer.add(0, data);
    return writer.finish();
}

}  // namespace longhaul::io
