#include "io/video_tokens_file.hpp"

#define XXH_INLINE_ALL
#include "base/bfloat16.hpp"
#include "base/checked.hpp"
#include "io/job_utf8.hpp"
#include "io/positioned_io.hpp"
#include "io/video_tokens_layout.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

namespace longhaul::io {
namespace {

// Rows are hashed and checked in slices of about this size.
constexpr std::int64_t kSliceBytes = std::int64_t{4} << 20;

FileStamp to_stamp(struct stat const& status) {
    if (!S_ISREG(status.st_mode)) {
        return {};
    }
    return {status.st_size,
            std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::string reason_of(int error) { return std::generic_category().message(error); }

// Index of the first number whose exponent is all ones, -1 for none. One pass without branches says whether to look.
template <class Bits>
std::int64_t first_with_exponent(std::byte const* raw, std::int64_t count, Bits exponent) {
    auto const* const bits = reinterpret_cast<Bits const*>(raw);
    auto const is_bad = [exponent](Bits value) { return (value & exponent) == exponent; };
    Bits any = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        any = static_cast<Bits>(any | (is_bad(bits[i]) ? 1 : 0));
    }
    return any == 0 ? -1 : std::find_if(bits, bits + count, is_bad) - bits;
}

std::int64_t first_non_finite(VideoTokensElement element, std::byte const* raw,
                              std::int64_t count) {
    switch (element) {
        case VideoTokensElement::f32:
            return first_with_exponent<std::uint32_t>(raw, count, 0x7f800000U);
        case VideoTokensElement::f16:
            return first_with_exponent<std::uint16_t>(raw, count, 0x7c00U);
        case VideoTokensElement::bf16:
            return first_with_exponent<std::uint16_t>(raw, count, 0x7f80U);
    }
    return -1;
}

std::string shown(std::string const& model) {
    constexpr std::size_t kLongest = 120;
    return replace_invalid_utf8(std::string_view(model).substr(0, kLongest));
}

}  // namespace

FileStamp stamp_of(std::filesystem::path const& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? to_stamp(status) : FileStamp{};
}

std::string ContentHash::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

VideoTokensFile::VideoTokensFile(std::filesystem::path path)
    : path_(std::move(path)),
      // O_NONBLOCK: opening a pipe without a writer must not hang the run.
      descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
    if (descriptor_ < 0) {
        detail::refuse_video_tokens(
            path_, "unreadable",
            reason_of(errno) + "; check the path, which counts from the folder of the queue file");
    }
    try {
        open();
    } catch (VideoTokensError const&) {
        ::close(descriptor_);
        throw;
    }
}

VideoTokensFile::~VideoTokensFile() { ::close(descriptor_); }

void VideoTokensFile::open() {
    struct stat status {};
    FileStamp const stamp = ::fstat(descriptor_, &status) == 0 ? to_stamp(status) : FileStamp{};
    if (stamp.bytes < 0) {
        detail::refuse_video_tokens(path_, "unreadable",
                                    "it is not a regular file; give the path of an HDF5 file");
    }
    if (stamp.bytes == 0) {
        detail::refuse_video_tokens(path_, "empty", "it has no bytes; write it again");
    }
    layout_ = std::make_unique<detail::VideoTokensLayout>(
        detail::read_video_tokens_layout(path_, stamp.bytes));
    layout_->info.stamp = stamp;
    check_unchanged();
}

VideoTokensInfo const& VideoTokensFile::info() const { return layout_->info; }

void VideoTokensFile::check_model(std::int64_t hidden_dim, std::string const& model_name) const {
    VideoTokensInfo const& made = info();
    if (made.width != hidden_dim) {
        detail::refuse_video_tokens(
            path_, "bad_video_tokens",
            fmt::format("its rows have {} numbers, but the model's width is {}; make the tokens "
                        "with this model's projector, or run the model they were made for{}",
                        made.width, hidden_dim,
                        made.model.empty() ? "" : fmt::format(" ({})", shown(made.model))));
    }
    if (!made.model.empty() && !model_name.empty() && made.model != model_name) {
        detail::refuse_video_tokens(
            path_, "bad_video_tokens",
            fmt::format("it was made for the model '{}', this run's is '{}'; run that model, or "
                        "correct the attribute 'model' if both are the same",
                        shown(made.model), model_name));
    }
}

// After a read: what was read is good when the file is still what was hashed.
void VideoTokensFile::check_unchanged() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || to_stamp(status) != info().stamp) {
        detail::refuse_video_tokens(path_, "unreadable",
                                    "it changed while the run was using it; run the job again");
    }
}

void VideoTokensFile::read_piece(std::int64_t address, std::int64_t bytes, std::byte* out) const {
    int const error = read_at(descriptor_, address, {out, static_cast<std::size_t>(bytes)});
    if (error != 0) {
        detail::refuse_video_tokens(
            path_, "unreadable",
            fmt::format("reading its rows failed: {}; copy it again, or ask who looks after the "
                        "disk",
                        reason_of(error)));
    }
}

void VideoTokensFile::read_raw(Range rows, std::byte* out) const {
    detail::VideoTokensLayout const& layout = *layout_;
    std::int64_t const element = info().element_bytes();
    std::int64_t const across = ceil_div(info().width, layout.chunk_columns);
    std::vector<std::byte> piece;  // consecutive rows of a chunk that has only some of the columns
    for (std::int64_t begin = rows.begin; begin < rows.end;) {
        std::int64_t const band = begin / layout.chunk_rows;
        std::int64_t const end = std::min(rows.end, (band + 1) * layout.chunk_rows);
        for (std::int64_t c = 0; c < across; ++c) {
            std::int64_t const chunk_row = layout.chunk_columns * element;
            std::int64_t const address =
                layout.addresses[static_cast<std::size_t>(band * across + c)] +
                (begin - band * layout.chunk_rows) * chunk_row;
            std::byte* const to = out + (begin - rows.begin) * info().row_bytes() + c * chunk_row;
            if (layout.chunk_columns == info().width) {
                read_piece(address, (end - begin) * chunk_row, to);
                continue;
            }
            piece.resize(static_cast<std::size_t>((end - begin) * chunk_row));
            read_piece(address, (end - begin) * chunk_row, piece.data());
            std::int64_t const used = std::min(chunk_row, info().row_bytes() - c * chunk_row);
            for (std::int64_t row = 0; row < end - begin; ++row) {
                std::memcpy(to + row * info().row_bytes(), piece.data() + row * chunk_row,
                            static_cast<std::size_t>(used));
            }
        }
        begin = end;
    }
    check_unchanged();
}

void VideoTokensFile::expand(std::byte const* raw, std::int64_t count, float* out) const {
    auto const* const bits = reinterpret_cast<std::uint16_t const*>(raw);
    switch (info().element) {
        case VideoTokensElement::f32:
            std::memcpy(out, raw, static_cast<std::size_t>(count) * sizeof(float));
            break;
        case VideoTokensElement::f16:
            std::transform(bits, bits + count, out, half_to_float);
            break;
        case VideoTokensElement::bf16:
            std::transform(bits, bits + count, out,
                           [](std::uint16_t value) { return to_float(BFloat16{value}); });
            break;
    }
}

void VideoTokensFile::read(Range rows, float* out) const {
    LH_EXPECT(rows.begin >= 0 && rows.begin <= rows.end && rows.end <= info().num_rows);
    if (info().element == VideoTokensElement::f32) {
        read_raw(rows, reinterpret_cast<std::byte*>(out));
        return;
    }
    std::vector<std::byte> raw(static_cast<std::size_t>(rows.size() * info().row_bytes()));
    read_raw(rows, raw.data());
    expand(raw.data(), rows.size() * info().width, out);
}

ContentHash VideoTokensFile::hash_rows() const {
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    std::array<std::int64_t, 3> const head{info().num_rows, info().width,
                                           static_cast<std::int64_t>(info().element)};
    XXH3_128bits_update(&state, head.data(), sizeof head);
    std::int64_t const step =
        std::clamp<std::int64_t>(kSliceBytes / info().row_bytes(), 1, info().num_rows);
    std::vector<std::byte> raw(static_cast<std::size_t>(step * info().row_bytes()));
    for (std::int64_t begin = 0; begin < info().num_rows; begin += step) {
        Range const rows{begin, std::min(begin + step, info().num_rows)};
        read_raw(rows, raw.data());
        XXH3_128bits_update(&state, raw.data(),
                            static_cast<std::size_t>(rows.size() * info().row_bytes()));
        std::int64_t const bad =
            first_non_finite(info().element, raw.data(), rows.size() * info().width);
        if (bad >= 0) {
            detail::refuse_video_tokens(
                path_, "non_finite",
                fmt::format("row {} of /tokens has a NaN or an infinity; make the tokens again",
                            begin + bad / info().width));
        }
    }
    XXH128_hash_t const hash = XXH3_128bits_digest(&state);
    return {hash.low64, hash.high64};
}

}  // namespace longhaul::io
