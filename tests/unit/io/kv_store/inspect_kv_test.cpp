#include "app/inspect_kv.hpp"

#include "base/error.hpp"
#include "io/kv_segment_reader.hpp"
#include "unit/io/checkpoint/checkpoint_support.hpp"
#include "unit/io/kv_store/store_support.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <span>
#include <sstream>

namespace longhaul::app {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

struct Answer {
    int code = 0;
    std::string text;
};

Answer inspect(std::vector<std::string> const& words) {
    std::ostringstream out;
    int const code = inspect_kv(words, out);
    return {code, out.str()};
}

std::string refusal(std::vector<std::string> const& words) {
    return io::message_of<ValidationError>([&] { static_cast<void>(inspect(words)); });
}

class InspectKv : public testing::Test {
  protected:
    InspectKv() : store_(scratch_ / "store", test::store_identity()) {
        for (std::int64_t i = 0; i < 3; ++i) {
            added_.push_back(
                test::write_document(scratch_ / "run", "book-" + std::to_string(i), 4, i));
            store_.add(added_.back(), scratch_ / "run");
            io::used_before(store_, io::id_of(store_, added_.back()),
                            std::chrono::hours(30 * i + 1));
        }
        std::filesystem::remove_all(scratch_ / "run");
    }
    [[nodiscard]] std::string store() const { return store_.folder().string(); }

    // Turns a bit of a block of a document.
    void damage(std::string const& document) const {
        for (io::StoredKvEntry const& stored : store_.load().entries) {
            if (stored.entry.document != document) continue;
            std::string const& name = stored.entry.segments[0].name;
            io::KvSegmentReader const reader(store_.segments_folder() / name);
            std::string block(
                static_cast<std::size_t>(head_block_bytes(reader.shape(), io::KvPart::key)), '\0');
            ASSERT_TRUE(reader.read(0, reader.shape().layers.begin, reader.shape().kv_heads.begin,
                                    io::KvPart::key, std::as_writable_bytes(std::span(block))));
            std::string content = scratch_.read("store/segments/" + name);
            std::size_t const place = content.find(block);
            ASSERT_NE(place, std::string::npos);
            content[place + 5] = static_cast<char>(content[place + 5] ^ 1);
            scratch_.write("store/segments/" + name, content);
        }
    }

    io::ScratchFolder scratch_;
    io::KvStore store_;
    std::vector<io::KvStoreEntry> added_;
};

TEST_F(InspectKv, ListsAStore) {
    Answer const table = inspect({store()});
    EXPECT_EQ(table.code, 0);
    EXPECT_THAT(table.text, AllOf(HasSubstr("3 entries"), HasSubstr("24 segments"),
                                  HasSubstr("book-0"), HasSubstr("book-2"), HasSubstr("model-1"),
                                  HasSubstr("bf16"), HasSubstr("nothing wrong")));
    Answer const answer = inspect({store(), "--json", "--verify"});
    EXPECT_EQ(answer.code, 0);
    json const found = json::parse(answer.text);
    ASSERT_EQ(found.at("entries").size(), 3U);
    json const& first = found.at("entries")[0];
    EXPECT_EQ(first.at("document"), "book-2") << "least recently used first";
    EXPECT_EQ(first.at("blocks"), 4);
    EXPECT_EQ(first.at("tokens"), added_[2].num_tokens);
    EXPECT_EQ(found.at("segments"), 24);
    EXPECT_EQ(found.at("verified").at("entries"), 3);
    EXPECT_TRUE(found.at("problems").empty());
}

TEST_F(InspectKv, NamesDamageAndPrunesIt) {
    damage("book-1");
    EXPECT_EQ(inspect({store()}).code, 0) << "sizes alone do not show it";
    Answer const table = inspect({store(), "--verify"});
    EXPECT_EQ(table.code, 1);
    EXPECT_THAT(table.text, AllOf(HasSubstr("blocks are damaged"), HasSubstr("book-1"),
                                  HasSubstr("--prune-damaged")));
    Answer const pruned = inspect({store(), "--prune-damaged", "--json"});
    EXPECT_EQ(pruned.code, 1) << "damage was found";
    json const found = json::parse(pruned.text);
    EXPECT_EQ(found.at("pruned").at("entries_removed"), 1);
    EXPECT_EQ(found.at("entries").size(), 2U);
    EXPECT_EQ(inspect({store(), "--verify"}).code, 0);
}

TEST_F(InspectKv, PrunesByAgeAndSize) {
    Answer const old = inspect({store(), "--prune-age=2d"});
    EXPECT_EQ(old.code, 0);
    EXPECT_THAT(old.text, AllOf(HasSubstr("1 entries and 8 segments removed"),
                                HasSubstr("2 entries kept"), testing::Not(HasSubstr("book-2"))));
    std::int64_t const bytes = json::parse(inspect({store(), "--json"}).text).at("bytes");
    Answer const small = inspect({store(), "--json", "--prune-size", std::to_string(bytes - 1)});
    EXPECT_EQ(small.code, 0);
    json const left = json::parse(small.text);
    ASSERT_EQ(left.at("entries").size(), 1U);
    EXPECT_EQ(left.at("entries")[0].at("document"), "book-0");
}

TEST_F(InspectKv, WritesAMaster) {
    auto const master = scratch_ / "kv.h5";
    EXPECT_EQ(inspect({store(), "--master", master.string()}).code, 0);
    EXPECT_GT(std::filesystem::file_size(master), 1000U);
    EXPECT_THAT(scratch_.read("kv.h5"), AllOf(HasSubstr("book-0"), HasSubstr("store/segments/")));
}

TEST_F(InspectKv, LooksAtACheckpoint) {
    auto const folder = scratch_ / "out/checkpoint";
    std::mt19937_64 random(3);
    {
        io::CheckpointDir dir(folder, io::kIdentity, io::OldCheckpoint::resume);
        std::int64_t const run = dir.start_run();
        io::KvStoreEntry const document =
            test::write_document(io::segments_folder(folder), "x", 4, 1);
        io::Manifest const manifest = io::make_manifest(
            {run, 1, 0}, {io::random_sequence(random, "job-a"), io::random_sequence(random, "b")},
            document.segments);
        dir.commit(manifest);
    }
    Answer const table = inspect({folder.string(), "--verify"});
    EXPECT_EQ(table.code, 0) << table.text;
    EXPECT_THAT(table.text, AllOf(HasSubstr("manifest-r1-p0-e1.json"), HasSubstr("job-a"),
                                  HasSubstr("8 segments"), HasSubstr("nothing wrong")));
    json const found = json::parse(inspect({folder.string(), "--json"}).text);
    EXPECT_EQ(found.at("sequences").size(), 2U);
    EXPECT_EQ(found.at("manifests")[0].at("grid").at("kvp"), 2);
    EXPECT_THAT(refusal({folder.string(), "--prune-size", "1G"}), HasSubstr("only KV stores"));
    EXPECT_THAT(refusal({(scratch_ / "out").string()}), HasSubstr("did you mean"));

    auto const segment = *std::filesystem::directory_iterator(io::segments_folder(folder));
    std::filesystem::resize_file(segment, 100);
    std::ofstream(folder / "manifest-r1-p0-e2.json") << "torn";
    Answer const damaged = inspect({folder.string()});
    EXPECT_EQ(damaged.code, 1);
    EXPECT_THAT(damaged.text, AllOf(HasSubstr("2 problems"), HasSubstr("100 bytes instead of"),
                                    HasSubstr("e2.json is damaged")));
}

TEST_F(InspectKv, RefusesWrongWords) {
    EXPECT_THAT(inspect({"--help"}).text, AllOf(HasSubstr("--prune-size"), HasSubstr("Examples")));
    EXPECT_THAT(refusal({}), HasSubstr("takes a folder"));
    EXPECT_THAT(refusal({store(), store()}), HasSubstr("one folder"));
    EXPECT_THAT(refusal({store(), "--prune"}), HasSubstr("'--prune'"));
    EXPECT_THAT(refusal({store(), "--prune-size"}), HasSubstr("needs a value"));
    EXPECT_THAT(refusal({store(), "--prune-size", "0"}), HasSubstr("not a size"));
    EXPECT_THAT(refusal({store(), "--prune-age", "-1d"}), HasSubstr("write a time"));
    EXPECT_THAT(refusal({(scratch_ / "nowhere").string()}), HasSubstr("no folder"));
    std::filesystem::create_directories(scratch_ / "empty");
    EXPECT_THAT(refusal({(scratch_ / "empty").string()}), HasSubstr("neither"));
    EXPECT_EQ(inspect({store()}).code, 0);
}

}  // namespace
}  // namespace longhaul::app
