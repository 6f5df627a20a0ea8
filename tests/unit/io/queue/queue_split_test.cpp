#include "io/queue_split.hpp"

#include "base/error.hpp"
#include "io/document.hpp"
#include "io/job_hash.hpp"
#include "io/output_dir_files.hpp"
#include "io/queue_reader.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace longhaul::io {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

std::vector<std::string> lines_of(std::string const& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

/// id -> job_hash of every job of a queue.
std::map<std::string, std::string> hashes_of(std::filesystem::path const& queue) {
    std::map<std::string, std::string> hashes;
    QueueReader reader(queue);
    while (auto const entry = reader.next()) {
        if (auto const* bad = std::get_if<BadJob>(&entry->job)) {
            hashes[bad->id] = bad->job_hash;
            continue;
        }
        auto const& job = std::get<Job>(entry->job);
        auto const loaded = load_document(job);
        auto const* document = std::get_if<std::string>(&loaded);
        hashes[job.id] = job_hash(job, document == nullptr ? "" : *document);
    }
    return hashes;
}

std::string refusal(ScratchFolder const& scratch, std::string const& queue, std::int64_t parts) {
    return message_of<ValidationError>(
        [&] { static_cast<void>(split_queue(scratch / queue, scratch / "parts", parts)); });
}

class QueueSplit : public testing::Test {
  protected:
    QueueSplit() { std::filesystem::create_directory(scratch / "docs"); }

    std::vector<QueuePart> split(std::string const& queue, std::int64_t parts) {
        scratch.write("queue.jsonl", queue);
        return split_queue(scratch / "queue.jsonl", scratch / "parts", parts);
    }
    [[nodiscard]] std::string part(int number) const {
        return scratch.read(fmt::format("parts/part-{}.jsonl", number));
    }

    ScratchFolder scratch;
};

// Whatever is in the queue: every job comes out once, in order, with the same hash, beside those on its document.
TEST_F(QueueSplit, KeepsEveryJobOnceWithItsHash) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        auto const up_to = [&](unsigned limit) {
            return static_cast<unsigned>(random() % limit) + 1;
        };
        std::filesystem::remove_all(scratch / "parts");
        unsigned const documents = up_to(9);
        for (unsigned i = 0; i < documents; ++i) {
            scratch.write(fmt::format("docs/ö {}.txt", i), std::string(up_to(5000), 'x'));
        }
        std::string queue;
        std::map<std::string, std::string> document_of;
        unsigned const jobs = documents + up_to(30);
        for (unsigned i = 0; i < jobs; ++i) {
            unsigned const document =
                i < documents ? i : static_cast<unsigned>(random() % documents);
            Json line{{"id", fmt::format("job {}", i)},
                      {"kind", i % 3 == 0 ? "score" : "document"}};
            std::string const path = fmt::format("docs/ö {}.txt", document);
            line["path"] = i % 5 == 0 ? (scratch / path).string() : "./" + path;
            if (i % 4 == 1) line["prompt"] = "\"path\": \"no\"";
            if (i % 7 == 2) {
                line.erase("path");
                line["text"] = std::string(up_to(3000), 'y');
            }
            document_of[line["id"]] =
                line.contains("path") ? path : line["text"].get<std::string>();
            queue += line.dump(-1, ' ', i % 2 == 0) + "\n";
            if (i % 6 == 3) queue += "\n";
        }
        std::set<std::string> distinct;
        for (auto const& [id, document] : document_of) distinct.insert(document);
        auto const parts = static_cast<std::int64_t>(up_to(static_cast<unsigned>(distinct.size())));
        auto const written = split(queue, parts);

        ASSERT_EQ(std::ssize(written), parts);
        std::map<std::string, std::string> hashes;
        std::map<std::string, std::set<std::int64_t>> parts_of_document;
        for (std::int64_t number = 0; number < parts; ++number) {
            auto const& file = written[static_cast<std::size_t>(number)];
            EXPECT_EQ(file.path, queue_part_path(scratch / "parts", number));
            auto const own = hashes_of(file.path);
            EXPECT_EQ(std::ssize(own), file.jobs);
            EXPECT_GT(file.documents, 0);
            for (auto const& [id, hash] : own) {
                EXPECT_TRUE(hashes.emplace(id, hash).second) << id << " stands twice";
                parts_of_document[document_of.at(id)].insert(number);
            }
        }
        EXPECT_EQ(hashes, hashes_of(scratch / "queue.jsonl"));
        for (auto const& [document, places] : parts_of_document) EXPECT_EQ(places.size(), 1U);
    }
}

TEST_F(QueueSplit, CopiesLinesByteForByteInOrder) {
    scratch.write("docs/a.txt", "aaa");
    std::string const inline_text =
        R"({ "text":"\u00e4 \"path\":\"x\"" , "kind" : "text","id":"t"})";
    std::string const absolute = fmt::format(R"({{"kind":"score","path":"{}", "id":"abs"}})",
                                             (scratch / "docs/a.txt").string());
    std::string const bad = R"({"id":"bad","kind":"film","path":"docs/a.txt"})";
    auto const written =
        split("\xef\xbb\xbf" + inline_text + "\r\n\n" + absolute + "\n" + bad + "\n" +
                  R"({"id":"rel", "p\u0061th" : "docs/./\u0061.txt" ,"kind":"score"})",
              1);
    ASSERT_EQ(written.size(), 1U);
    EXPECT_EQ(written[0].jobs, 4);
    EXPECT_EQ(written[0].documents, 3) << "the text, the file, and the bad line for itself";
    auto const lines = lines_of(part(0));
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(lines[0], inline_text);
    EXPECT_EQ(lines[1], absolute);
    EXPECT_EQ(lines[2], bad) << "its hash is over these bytes";
    EXPECT_EQ(lines[3], fmt::format(R"({{"id":"rel", "p\u0061th" : "{}" ,"kind":"score"}})",
                                    (scratch / "docs/a.txt").string()));
}

TEST_F(QueueSplit, BalancesByTheSizeOfDocuments) {
    std::string queue;
    std::vector<int> const sizes{90'000, 10'000, 50'000, 40'000, 70'000, 20'000, 80'000};
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        scratch.write(fmt::format("docs/{}.txt", i),
                      std::string(static_cast<std::size_t>(sizes[i]), 'x'));
        for (int question = 0; question < 3; ++question) {
            queue += fmt::format(
                R"({{"id":"{}-{}","kind":"document","path":"docs/{}.txt","max_tokens":9}})"
                "\n",
                i, question, i);
        }
    }
    auto const written = split(queue, 3);
    std::int64_t jobs = 0;
    for (QueuePart const& file : written) {
        EXPECT_EQ(file.bytes, 120'000);
        jobs += file.jobs;
    }
    EXPECT_EQ(jobs, 21);
}

// Without a document that can be looked at the number of jobs is all there is to go by.
TEST_F(QueueSplit, SpreadsMissingDocumentsAndShortTexts) {
    std::string queue;
    for (int i = 0; i < 40; ++i) {
        queue += fmt::format(R"({{"id":"{}","kind":"{}","{}":"{}","max_tokens":64}})"
                             "\n",
                             i, i % 2 == 0 ? "document" : "text", i % 2 == 0 ? "path" : "text", i);
    }
    for (QueuePart const& file : split(queue, 4))
        EXPECT_NEAR(static_cast<double>(file.jobs), 10, 1);
}

TEST_F(QueueSplit, ReadsGzipAndPathsFromAnywhere) {
    scratch.write("docs/a.txt", "aaa");
    gzFile const file = ::gzopen((scratch / "queue.jsonl.gz").c_str(), "wb");
    ::gzputs(file, R"({"id":"a","kind":"score","path":"docs/a.txt"})");
    ::gzclose(file);
    auto const before = std::filesystem::current_path();
    std::filesystem::current_path(scratch / "docs");
    auto const written = split_queue("../queue.jsonl.gz", "../parts", 1);
    std::filesystem::current_path("/");
    EXPECT_EQ(hashes_of(scratch / "parts/part-0.jsonl"), hashes_of(scratch / "queue.jsonl.gz"));
    std::filesystem::current_path(before);
    EXPECT_EQ(written[0].bytes, 3);
}

TEST_F(QueueSplit, RefusesWhatCannotBeJoinedAgain) {
    std::string const job = R"({"id":"a","kind":"text","text":"x"})";
    scratch.write("no-id.jsonl", job + "\n{\"kind\":\"text\",\"text\":\"y\"}\ngarbage\n");
    EXPECT_THAT(refusal(scratch, "no-id.jsonl", 2),
                testing::AllOf(HasSubstr("2 lines"), HasSubstr("line 2"), HasSubstr("line 3")));
    scratch.write("twice.jsonl", job + "\n" + job + "\n");
    EXPECT_THAT(refusal(scratch, "twice.jsonl", 1), HasSubstr("again on line 2"));
    scratch.write("small.jsonl", job + "\n" + R"({"id":"b","kind":"text","text":"x"})" + "\n");
    EXPECT_THAT(refusal(scratch, "small.jsonl", 2), HasSubstr("1 document, too few for 2 parts"));
    EXPECT_THAT(refusal(scratch, "small.jsonl", 0), HasSubstr("--parts 0"));
    EXPECT_THAT(refusal(scratch, "small.jsonl", 1001), HasSubstr("1 to 1000"));
    EXPECT_THAT(refusal(scratch, "nowhere.jsonl", 1), HasSubstr("cannot open"));
    EXPECT_THAT(refusal(scratch, "docs", 1), HasSubstr("not a regular file"));
    EXPECT_THAT(message_of<ValidationError>(
                    [&] { static_cast<void>(split_queue("-", scratch / "parts", 1)); }),
                HasSubstr("not a regular file"));
    EXPECT_FALSE(std::filesystem::exists(scratch / "parts"));
    static_cast<void>(split(job, 1));
    EXPECT_THAT(refusal(scratch, "small.jsonl", 1),
                HasSubstr("part-0.jsonl is from an earlier split"));
    scratch.write("file", "");
    EXPECT_THAT(message_of<ValidationError>([&] {
                    static_cast<void>(split_queue(scratch / "small.jsonl", scratch / "file", 1));
                }),
                HasSubstr("Not a directory"));
}

TEST_F(QueueSplit, LeavesNothingBehindWhenWritingFails) {
    std::filesystem::create_directories(scratch / "parts/part-1.jsonl.tmp");
    std::string const queue = R"({"id":"a","kind":"text","text":"x"})"
                              "\n"
                              R"({"id":"b","kind":"text","text":"y"})";
    EXPECT_THAT(message_of<IoError>([&] { static_cast<void>(split(queue, 2)); }),
                HasSubstr("part-1.jsonl.tmp"));
    EXPECT_FALSE(std::filesystem::exists(scratch / "parts/part-0.jsonl"));
    EXPECT_FALSE(std::filesystem::exists(scratch / "parts/part-0.jsonl.tmp"));
}

}  // namespace
}  // namespace longhaul::io
