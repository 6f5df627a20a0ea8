#include "io/input_stream.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <string>
#include <thread>
#include <vector>

namespace longhaul::io {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

struct Pipe {
    Pipe() { EXPECT_EQ(::pipe(ends.data()), 0); }
    void write(std::string const& text) const {
        EXPECT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    void close() const { ::close(ends[1]); }

    std::array<int, 2> ends{};
};

// The stream of a pipe that is filled by a thread in pieces of `piece` bytes.
std::string through_pipe(std::string const& content, std::size_t piece, std::string& failure) {
    Pipe const pipe;
    std::thread writer([&] {
        for (std::size_t i = 0; i < content.size(); i += piece)
            pipe.write(content.substr(i, piece));
        pipe.close();
    });
    InputStream stream(pipe.ends[0]);
    std::string text;
    std::array<char, 700> buffer{};
    while (std::size_t const got = stream.read(buffer)) text.append(buffer.data(), got);
    writer.join();
    failure = stream.failure();
    if (failure.empty()) {
        EXPECT_EQ(stream.bytes_read(), static_cast<std::int64_t>(content.size()));
    }
    return text;
}

std::string gzip(std::string const& content) {
    z_stream stream{};
    EXPECT_EQ(::deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string packed(::deflateBound(&stream, content.size()), '\0');
    std::string input = content;
    stream.next_in = reinterpret_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed.resize(packed.size() - stream.avail_out);
    ::deflateEnd(&stream);
    return packed;
}

TEST(InputStream, GivesWhatIsThereWithoutWaitingForMore) {
    Pipe const pipe;
    InputStream stream(pipe.ends[0]);
    std::array<char, 100> buffer{};
    for (std::string const line : {"first\n", "2\n", "third line\n"}) {
        pipe.write(line);
        EXPECT_EQ(std::string(buffer.data(), stream.read(buffer)), line);
    }
    pipe.close();
    EXPECT_EQ(stream.read(buffer), 0U);
    EXPECT_EQ(stream.read(buffer), 0U);
    EXPECT_THAT(stream.failure(), IsEmpty());
}

TEST(InputStream, ReadsPiecesOfAnySize) {
    std::string plain;
    for (int i = 0; i < 2000; ++i) plain += std::to_string(i * 7919) + "\n";
    std::string const packed = gzip(plain);
    std::string failure;
    for (std::size_t const piece : {1U, 2U, 3U, 1000U, 60'000U}) {
        for (std::string const& text :
             {std::string(), std::string("x"), std::string("\x1f"), plain}) {
            EXPECT_EQ(through_pipe(text, piece, failure), text);
            EXPECT_THAT(failure, IsEmpty());
        }
        EXPECT_EQ(through_pipe(packed, piece, failure), plain);
        EXPECT_THAT(failure, IsEmpty());
    }
}

TEST(InputStream, ReadsSeveralGzipMembersAndZerosBehindThem) {
    std::string failure;
    std::string const packed = gzip("one\n") + gzip("") + gzip("two\n") + std::string(300, '\0');
    for (std::size_t const piece : {1U, 7U, 10'000U}) {
        EXPECT_EQ(through_pipe(packed, piece, failure), "one\ntwo\n");
        EXPECT_THAT(failure, IsEmpty());
    }
}

TEST(InputStream, NamesDamage) {
    std::string failure;
    std::string const packed = gzip(std::string(5000, 'a') + "end");
    for (std::size_t const kept : {2UL, 9UL, 15UL, packed.size() - 1}) {
        (void)through_pipe(packed.substr(0, kept), 1000, failure);
        EXPECT_THAT(failure, HasSubstr("cut short")) << kept << " bytes kept";
    }
    (void)through_pipe(packed + "a line\n", 1000, failure);
    EXPECT_THAT(failure, HasSubstr("header"));
    std::string flipped = packed;
    flipped[flipped.size() - 6] =
        static_cast<char>(flipped[flipped.size() - 6] ^ 1);  // its checksum
    (void)through_pipe(flipped, 1000, failure);
    EXPECT_THAT(failure, HasSubstr("check"));
    InputStream folder(::open("/", O_RDONLY | O_CLOEXEC));
    std::array<char, 10> buffer{};
    EXPECT_EQ(folder.read(buffer), 0U);
    EXPECT_THAT(folder.failure(), HasSubstr("directory"));
}

}  // namespace
}  // namespace longhaul::io
