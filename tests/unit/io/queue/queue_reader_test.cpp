#include "io/queue_reader.hpp"

#include "base/error.hpp"
#include "io/queue_reader_lines.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <zlib.h>

#include <fcntl.h>
#include <chrono>

namespace longhaul::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string line_of(std::string_view id) {
    return fmt::format(R"({{"id":"{}","kind":"text","text":"x"}})", id);
}

// Ids in order; a line that is no job shows as its id and code.
std::vector<std::string> ids_of(QueueReader& reader) {
    std::vector<std::string> ids;
    while (auto const entry = reader.next()) {
        if (auto const* bad = std::get_if<BadJob>(&entry->job)) {
            ids.push_back(bad->id + ":" + bad->error.code);
        } else {
            ids.push_back(std::get<Job>(entry->job).id);
        }
    }
    return ids;
}

std::vector<std::string> ids_of(std::filesystem::path const& path, QueueOptions options = {}) {
    QueueReader reader(path, options);
    return ids_of(reader);
}

std::filesystem::path write_gzip(std::filesystem::path const& path, std::string const& content) {
    gzFile const file = ::gzopen(path.c_str(), "wb1");
    ::gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    ::gzclose(file);
    return path;
}

/// Standard input from a file for the life of this object.
class StandardInput {
  public:
    explicit StandardInput(std::filesystem::path const& path) : saved_(::dup(STDIN_FILENO)) {
        int const file = ::open(path.c_str(), O_RDONLY);
        ::dup2(file, STDIN_FILENO);
        ::close(file);
    }
    StandardInput(StandardInput const&) = delete;
    StandardInput& operator=(StandardInput const&) = delete;
    ~StandardInput() {
        ::dup2(saved_, STDIN_FILENO);
        ::close(saved_);
    }

  private:
    int saved_;
};

TEST(QueueReader, TakesAllLineEndingsAndSkipsEmptyLines) {
    ScratchFolder const folder;
    auto const queue = folder.write(
        "q", "\xef\xbb\xbf" + line_of("a") + "\r\n\n  \t\r\n" + line_of("b") + "\n" + line_of("c"));
    QueueReader reader(queue);
    EXPECT_EQ(reader.jobs_total(), 3);
    auto const first = reader.next();
    EXPECT_EQ(first->line_number, 1);
    EXPECT_EQ(std::get<Job>(first->job).id, "a");
    EXPECT_EQ(reader.next()->line_number, 4);
    EXPECT_EQ(reader.next()->line_number, 5);
    EXPECT_FALSE(reader.next());
    EXPECT_FALSE(reader.next());
    EXPECT_EQ(reader.jobs_read(), 3);
    EXPECT_EQ(reader.fraction_read(), 1.0);
}

TEST(QueueReader, ReadsPlainZippedAndStandardInputAlike) {
    ScratchFolder const folder;
    std::string const content = line_of("a") + "\n" + line_of("b") + "\n";
    EXPECT_THAT(ids_of(folder.write("q.jsonl", content)), ElementsAre("a", "b"));
    EXPECT_THAT(ids_of(write_gzip(folder / "q.jsonl.gz", content)), ElementsAre("a", "b"));
    for (char const* name : {"q.jsonl", "q.jsonl.gz"}) {
        StandardInput const input(folder / name);
        QueueReader reader("-");
        EXPECT_FALSE(reader.jobs_total());
        EXPECT_FALSE(reader.fraction_read());
        EXPECT_THAT(ids_of(reader), ElementsAre("a", "b"));
    }
}

TEST(QueueReader, PathsCountFromTheFolderOfTheQueue) {
    ScratchFolder const folder;
    QueueReader reader(folder.write("q", R"({"id":"a","kind":"document","path":"d/x.txt"})"));
    EXPECT_EQ(std::get<Job>(reader.next()->job).path, folder / "d/x.txt");
}

TEST(QueueReader, BadLinesDoNotStopTheOthers) {
    ScratchFolder const folder;
    auto const queue =
        folder.write("q", line_of("a") + "\ngarbage\n{\"id\":\"b\",\"kind\":\"video\"}\n" +
                              line_of("c") + "\n{\"id\":\"d\",\"kind\":\"te");
    EXPECT_THAT(ids_of(queue),
                ElementsAre("a", "line-2:bad_json", "b:unknown_kind", "c", "line-5:bad_json"));
}

TEST(QueueReader, RefusesAnIdThatStandsTwice) {
    ScratchFolder const folder;
    std::string const content = line_of("a") + "\n" + line_of("b") + "\n\n" + line_of("a") + "\n";
    auto const plain = folder.write("q", content);
    auto const zipped = write_gzip(folder / "q.gz", content);
    for (auto const& queue : {plain, zipped}) {
        std::string const message =
            message_of<ValidationError>([&] { QueueReader const reader(queue); });
        EXPECT_THAT(message, HasSubstr("\"a\" on line 1 and again on line 4"));
    }
    EXPECT_THAT(ids_of(plain, {.scan_first = false}), ElementsAre("a", "b", "line-4:duplicate_id"));
    StandardInput const input(plain);
    EXPECT_THAT(ids_of("-"), ElementsAre("a", "b", "line-4:duplicate_id"));
}

TEST(QueueReader, ABadJobKeepsItsIdFromOthers) {
    ScratchFolder const folder;
    auto const queue =
        folder.write("q", "{\"id\":\"a\",\"kind\":\"video\"}\n" + line_of("a") + "\n");
    EXPECT_THROW(QueueReader const reader(queue), ValidationError);
    EXPECT_THAT(ids_of(queue, {.scan_first = false}),
                ElementsAre("a:unknown_kind", "line-2:duplicate_id"));
}

TEST(QueueReader, TheNameOfALineWithoutIdIsNobodysId) {
    ScratchFolder const folder;
    auto const queue =
        folder.write("q", "garbage\n" + line_of("line-1") + "\n" + line_of("line-1+"));
    EXPECT_THAT(ids_of(queue), ElementsAre("line-1++:bad_json", "line-1", "line-1+"));
    // A stream's later lines are not known yet.
    StandardInput const input(queue);
    EXPECT_THAT(ids_of("-"), ElementsAre("line-1:bad_json", "line-2:duplicate_id", "line-1+"));
}

TEST(QueueReader, RefusesWhatIsNoQueue) {
    ScratchFolder const folder;
    auto const message = [](std::filesystem::path const& path) {
        return message_of<ValidationError>([&] { QueueReader const reader(path); });
    };
    EXPECT_THAT(message(folder / "missing"), HasSubstr("No such file"));
    EXPECT_THAT(message(folder / ""), HasSubstr("folder"));
    EXPECT_THAT(message(folder.write("empty", "")), HasSubstr("no jobs"));
    for (auto const& nothing : {folder / "empty", std::filesystem::path("/dev/null")}) {
        StandardInput const input(nothing);
        EXPECT_THAT(message("-"), HasSubstr("no jobs"));
    }
    EXPECT_THAT(message(folder.write("blank", "\n \n\r\n")), HasSubstr("no jobs"));
}

TEST(QueueReader, AZippedQueueCutShortIsNoticed) {
    ScratchFolder const folder;
    std::string content;
    for (int i = 0; i < 2000; ++i) content += line_of(std::to_string(i * 7919)) + "\n";
    write_gzip(folder / "q.gz", content);
    std::string const zipped = folder.read("q.gz");
    auto const cut = folder.write("cut.gz", zipped.substr(0, zipped.size() - zipped.size() / 3));
    EXPECT_THAT(message_of<ValidationError>([&] { QueueReader const reader(cut); }),
                HasSubstr("to its end"));
    auto const ids = ids_of(cut, {.scan_first = false});
    ASSERT_GT(ids.size(), 10U);
    EXPECT_EQ(ids.front(), "0");
    EXPECT_THAT(ids.back(), HasSubstr("unreadable"));
}

TEST(QueueReader, ALineThatIsTooLongIsSkipped) {
    ScratchFolder const folder;
    for (std::size_t size : {101U, 5'000'000U}) {
        auto const queue = folder.write("q", line_of("a") + "\n" + std::string(size, 'x') + "\n" +
                                                 line_of("b") + "\n" + std::string(size, 'y'));
        EXPECT_THAT(ids_of(queue, {.max_line_bytes = 100}),
                    ElementsAre("a", "line-2:too_long", "b", "line-4:too_long"));
    }
}

// Line lengths around every boundary of the buffer, with and without compression.
TEST(LineReader, CutsLinesOfAnyLength) {
    ScratchFolder const folder;
    std::string content;
    std::vector<std::string> lines;
    for (std::size_t size :
         {0U, 1U, 1048574U, 1048575U, 1048576U, 1048577U, 3U, 3145727U, 64U, 0U, 9'000'000U, 2U}) {
        lines.emplace_back(size, static_cast<char>('a' + lines.size()));
        content += lines.back() + "\n";
    }
    auto const plain = folder.write("plain", content);
    for (auto const& path : {plain, write_gzip(folder / "zipped", content)}) {
        LineReader reader(path, 1 << 30);
        std::int64_t offset = 0;
        for (std::string const& expected : lines) {
            auto const line = reader.next();
            ASSERT_TRUE(line);
            ASSERT_EQ(line->text, expected);
            ASSERT_EQ(line->offset, offset);
            offset += line->bytes;
        }
        EXPECT_FALSE(reader.next());
        EXPECT_EQ(offset, static_cast<std::int64_t>(content.size()));
    }
}

}  // namespace
}  // namespace longhaul::io
