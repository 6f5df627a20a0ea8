#include "io/input_stream.hpp"

#include "base/error.hpp"

#include <zlib.h>

#include <poll.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

namespace longhaul::io {
namespace {

constexpr std::size_t kInputBytes = std::size_t{1} << 18;
constexpr int kGzipOnly = 16 + MAX_WBITS;
constexpr unsigned char kMagic[] = {0x1f, 0x8b};

}  // namespace

InputStream::InputStream(int descriptor) : descriptor_(descriptor), input_(kInputBytes) {}

InputStream::~InputStream() { ::close(descriptor_); }

void InputStream::EndInflate::operator()(z_stream_s* stream) const {
    ::inflateEnd(stream);
    delete stream;
}

std::int64_t InputStream::bytes_read() const {
    return file_bytes_ - static_cast<std::int64_t>(end_ - begin_);
}

std::size_t InputStream::read(std::span<char> out) {
    LH_EXPECT(!out.empty());
    if (!started_) look_at_start();
    if (!failure_.empty()) return 0;
    if (inflate_ != nullptr) return read_packed(out);
    if (begin_ == end_) return read_file(out);
    std::size_t const taken = std::min(out.size(), end_ - begin_);
    std::memcpy(out.data(), input_.data() + begin_, taken);
    begin_ += taken;
    return taken;
}

void InputStream::look_at_start() {
    started_ = true;
    while (end_ < sizeof kMagic) {
        std::size_t const got = read_file(std::span(input_).subspan(end_));
        if (got == 0) return;
        end_ += got;
    }
    if (std::memcmp(input_.data(), kMagic, sizeof kMagic) != 0) return;
    auto stream = std::make_unique<z_stream_s>();
    if (::inflateInit2(stream.get(), kGzipOnly) != Z_OK) throw std::bad_alloc();
    inflate_.reset(stream.release());
    in_member_ = true;
}

std::size_t InputStream::read_packed(std::span<char> out) {
    z_stream_s& stream = *inflate_;
    for (;;) {
        if (!in_member_ && !begin_member()) return 0;
        if (begin_ == end_ && !refill()) {
            if (failure_.empty() && !cancelled_)
                failure_ = "the file ends inside gzip data; it was cut short";
            return 0;
        }
        stream.next_in = reinterpret_cast<Bytef*>(input_.data() + begin_);
        stream.avail_in = static_cast<uInt>(end_ - begin_);
        stream.next_out = reinterpret_cast<Bytef*>(out.data());
        stream.avail_out = static_cast<uInt>(std::min<std::size_t>(out.size(), 1U << 30));
        uInt const room = stream.avail_out;
        int const code = ::inflate(&stream, Z_NO_FLUSH);
        begin_ = end_ - stream.avail_in;
        if (code == Z_STREAM_END) in_member_ = false;
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
            failure_ = stream.msg != nullptr ? stream.msg : "the gzip data is damaged";
            return 0;
        }
        if (stream.avail_out < room) return room - stream.avail_out;
    }
}

// A gzip file may hold several members, one behind the other, and zeros behind the last one (from tapes).
bool InputStream::begin_member() {
    while (begin_ < end_ || refill()) {
        if (input_[begin_] != 0) {
            in_member_ = ::inflateReset(inflate_.get()) == Z_OK;
            return in_member_;
        }
        ++begin_;
    }
    return false;
}

bool InputStream::refill() {
    begin_ = 0;
    end_ = read_file(input_);
    return end_ > 0;
}

std::size_t InputStream::read_file(std::span<char> out) {
    constexpr int kLookEveryMs = 100;
    for (;;) {
        pollfd waiting{descriptor_, POLLIN, 0};
        while (!cancelled_ && ::poll(&waiting, 1, kLookEveryMs) == 0) {
        }
        if (cancelled_) return 0;
        ssize_t const got = ::read(descriptor_, out.data(), out.size());
        if (got >= 0) {
            file_bytes_ += got;
            return static_cast<std::size_t>(got);
        }
        if (errno != EINTR) {
            failure_ = std::generic_category().message(errno);
            return 0;
        }
    }
}

}  // namespace longhaul::io
