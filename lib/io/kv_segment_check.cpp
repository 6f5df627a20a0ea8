#include "io/kv_segment_check.hpp"

#include "base/error.hpp"
#include "io/kv_segment_reader.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <algorithm>
#include <cerrno>

namespace longhaul::io {
namespace {

constexpr std::int64_t kReadBytes = std::int64_t{4} << 20;

}  // namespace

KvSegmentCheck::KvSegmentCheck(std::filesystem::path const& path, KvSegmentInfo const& said) {
    try {
        read_all(path, said);
    } catch (ValidationError const& error) {
        shape_.reset();
        problems_.emplace_back(error.what());
    }
}

std::size_t KvSegmentCheck::place(std::int64_t row, std::int64_t layer,
                                  std::int64_t kv_head) const {
    std::int64_t const head =
        (layer - shape_->layers.begin) * shape_->kv_heads.size() + kv_head - shape_->kv_heads.begin;
    return static_cast<std::size_t>(head) * blocks_.size() + static_cast<std::size_t>(row);
}

bool KvSegmentCheck::sound(std::int64_t row, std::int64_t layer, std::int64_t kv_head) const {
    LH_EXPECT(shape_.has_value());
    return !damaged_[place(row, layer, kv_head)];
}

void KvSegmentCheck::read_all(std::filesystem::path const& path, KvSegmentInfo const& said) {
    KvSegmentReader const reader(path);
    KvSegmentInfo const& info = reader.info();
    LH_VALIDATE(
        info.bytes == said.bytes && info.blocks == said.blocks && info.checksum == said.checksum,
        "{} is another segment than it should be", path.string());
    shape_ = reader.shape();
    blocks_ = reader.blocks();
    auto const rows = static_cast<std::int64_t>(blocks_.size());
    damaged_.resize(
        static_cast<std::size_t>(rows * shape_->layers.size() * shape_->kv_heads.size()));
    for (std::int64_t layer = shape_->layers.begin; layer < shape_->layers.end; ++layer) {
        for (std::int64_t head = shape_->kv_heads.begin; head < shape_->kv_heads.end; ++head) {
            read_head(reader, layer, head, KvPart::key);
            if (shape_->value_dim > 0) read_head(reader, layer, head, KvPart::value);
        }
    }
    report_damage(path);
}

void KvSegmentCheck::read_head(KvSegmentReader const& reader, std::int64_t layer,
                               std::int64_t kv_head, KvPart part) {
    auto const rows = static_cast<std::int64_t>(blocks_.size());
    std::int64_t const size = head_block_bytes(*shape_, part);
    std::int64_t const most = std::max<std::int64_t>(1, kReadBytes / size);
    std::vector<std::byte> buffer;
    for (std::int64_t row = 0; row < rows;) {
        std::int64_t const count = std::min(most, rows - row);
        buffer.resize(static_cast<std::size_t>(count * size));
        std::int64_t const good = reader.read_run(row, count, layer, kv_head, part, buffer);
        bytes_read_ += good * size;
        row += good;
        if (good == count) continue;
        damaged_[place(row, layer, kv_head)] = true;
        ++row;
    }
}

void KvSegmentCheck::report_damage(std::filesystem::path const& path) {
    std::int64_t num_bad = 0;
    std::size_t first = 0;
    for (std::size_t row = blocks_.size(); row-- > 0;) {
        bool bad = false;
        for (std::size_t i = row; i < damaged_.size(); i += blocks_.size()) {
            bad = bad || damaged_[i];
        }
        if (!bad) continue;
        ++num_bad;
        first = row;
    }
    if (num_bad == 0) return;
    problems_.push_back(fmt::format(
        "{}: {} of {} blocks are damaged, beginning with row {} (block {} of its sequence)",
        path.string(), num_bad, blocks_.size(), first, blocks_[first].block));
}

std::string segment_file_problem(std::filesystem::path const& path, std::int64_t bytes) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        return errno == ENOENT ? "is missing" : "cannot be reached: " + errno_text(errno);
    }
    if (!S_ISREG(status.st_mode)) return "is no regular file";
    if (status.st_size == bytes) return {};
    return fmt::format("has {} bytes instead of {}", status.st_size, bytes);
}

}  // namespace longhaul::io
