#include "io/kv_store.hpp"

#include "base/error.hpp"
#include "io/kv_segment_reader.hpp"
#include "io/manifest.hpp"
#include "unit/io/kv_store/store_support.hpp"

#include <gmock/gmock.h>

#include <unistd.h>
#include <algorithm>
#include <utility>

namespace longhaul::io {
namespace {

using testing::HasSubstr;

/// A store and a checkpoint that documents come from.
class KvStoreTest : public testing::Test {
  protected:
    [[nodiscard]] KvStore open(LinkFile link_file = nullptr) const {
        return KvStore(scratch_ / "store", test::store_identity(), link_file);
    }
    [[nodiscard]] std::filesystem::path run() const { return scratch_ / "run"; }

    ScratchFolder scratch_;
};

TEST_F(KvStoreTest, GivesBackWhatWasAdded) {
    KvStore const store = open();
    EXPECT_TRUE(store.load().entries.empty());
    std::vector<KvStoreEntry> added;
    for (std::int64_t i = 0; i < 4; ++i) {
        added.push_back(test::write_document(run(), "doc \xff" + std::to_string(i), 1 + 3 * i, i));
        EXPECT_FALSE(store.has(added.back().keys.back()));
        store.add(added.back(), run());
        EXPECT_TRUE(store.has(added.back().keys.back()));
    }
    KvStoreContent const content = open().load();
    EXPECT_TRUE(content.problems.empty());
    ASSERT_EQ(content.entries.size(), added.size());
    std::size_t segments = 0;
    for (StoredKvEntry const& stored : content.entries) {
        auto const from = std::find_if(added.begin(), added.end(), [&](KvStoreEntry const& entry) {
            return entry.keys == stored.entry.keys;
        });
        ASSERT_NE(from, added.end());
        EXPECT_EQ(stored.entry.num_tokens, from->num_tokens);
        EXPECT_THAT(stored.entry.document, testing::StartsWith("doc \xef\xbf\xbd"));
        EXPECT_EQ(stored.id, id_of(store, *from));
        EXPECT_NEAR(stored.last_use_s, static_cast<double>(stored.created_s), 5);
        segments += stored.entry.segments.size();
    }
    EXPECT_EQ(content.segments.size(), segments) << "documents have nothing in common here";
    for (KvSegmentInfo const& segment : content.segments) {
        KvSegmentInfo const found = KvSegmentReader(store.segments_folder() / segment.name).info();
        EXPECT_EQ(found, segment);
    }
    KvVerifyReport const verified = verify_kv_store(store.folder());
    EXPECT_TRUE(verified.problems.empty());
    EXPECT_EQ(verified.entries, 4);
    EXPECT_GT(verified.bytes, 0);
}

TEST_F(KvStoreTest, LinksAndOutlivesTheCheckpoint) {
    KvStore const store = open();
    KvStoreEntry const entry = test::write_document(run(), "a", 5, 1);
    ino_t const before = inode(run() / entry.segments[0].name);
    store.add(entry, run());
    bool linked = false;
    for (std::string const& name : names(store.segments_folder())) {
        linked = linked || inode(store.segments_folder() / name) == before;
    }
    EXPECT_TRUE(linked);
    std::filesystem::remove_all(run());
    EXPECT_TRUE(verify_kv_store(store.folder()).problems.empty());
    EXPECT_EQ(store.load().entries.size(), 1U);
}

TEST_F(KvStoreTest, TakesTheSegmentsThatHoldLeastBesides) {
    KvStore const store = open();
    // The same blocks are in a large segment of two documents, which comes first, and in segments of their own.
    KvSegmentShape const whole = test::store_shape();
    KvStoreEntry entry = test::write_document(run(), "a", 5, 1, whole, 1, 1, 1);
    KvStoreEntry const other = test::write_document(run(), "b", 6, 2, whole, 1, 1, 1);
    test::SegmentCase both;
    both.shape = whole;
    for (KvStoreEntry const* const document : {&other, &std::as_const(entry)}) {
        KvSegmentReader const reader(run() / document->segments[0].name);
        for (std::size_t i = 0; i < reader.blocks().size(); ++i) {
            both.blocks.push_back(reader.blocks()[i]);
            auto& bytes = both.data.emplace_back(static_cast<std::size_t>(block_bytes(whole)));
            ASSERT_TRUE(reader.read_block(static_cast<std::int64_t>(i), bytes));
        }
    }
    auto const large = write_kv_segment(run() / "large.h5", whole, both.blocks, both.spans());
    entry.segments.insert(entry.segments.begin(), large);
    store.add(entry, run());
    KvStoreContent const content = store.load();
    ASSERT_EQ(content.segments.size(), 1U);
    EXPECT_EQ(content.segments[0].blocks, 5);
    EXPECT_TRUE(verify_kv_store(store.folder()).problems.empty());
}

TEST_F(KvStoreTest, CopiesWhereLinksAreNotPossible) {
    KvStore const store = open(no_links);
    KvStoreEntry const entry = test::write_document(run(), "a", 5, 1);
    store.add(entry, run());
    std::filesystem::remove_all(run());
    EXPECT_TRUE(verify_kv_store(store.folder()).problems.empty());
    ASSERT_EQ(store.load().entries.size(), 1U);
    EXPECT_EQ(store.load().entries[0].entry.segments.size(), entry.segments.size());
    for (std::string const& name : names(store.segments_folder())) {
        EXPECT_TRUE(is_kv_store_segment(name)) << name << " was left behind";
    }
}

TEST_F(KvStoreTest, CopiesFromAnotherFileSystem) {
    std::string pattern = "/dev/shm/longhaul-test-" + std::string(6, 'X');  // as mkdtemp wants it
    if (::mkdtemp(pattern.data()) == nullptr) GTEST_SKIP() << "no second file system";
    KvStore const store = open();
    store.add(test::write_document(pattern, "a", 5, 1), pattern);
    std::filesystem::remove_all(pattern);
    EXPECT_TRUE(verify_kv_store(store.folder()).problems.empty());
    EXPECT_EQ(store.load().entries.size(), 1U);
}

TEST_F(KvStoreTest, EqualContentIsKeptOnce) {
    KvStore const store = open();
    KvStoreEntry const entry = test::write_document(run(), "a", 5, 1);
    KvStoreEntry const again = test::write_document(scratch_ / "other", "b", 5, 1);
    store.add(entry, run());
    auto const before = names(store.segments_folder());
    store.add(again, scratch_ / "other");
    EXPECT_EQ(names(store.segments_folder()), before);
    ASSERT_EQ(store.load().entries.size(), 1U);
    EXPECT_EQ(store.load().entries[0].entry.document, "a");

    // Segments of others that are named, too, are left out.
    KvStoreEntry other = test::write_document(run(), "c", 9, 2);
    other.segments.insert(other.segments.end(), entry.segments.begin(), entry.segments.end());
    store.add(other, run());
    ASSERT_EQ(store.load().entries.size(), 2U);
    EXPECT_EQ(store.load().entries[1].entry.segments.size(), 8U);
}

TEST_F(KvStoreTest, SeesItsOwnModelOnly) {
    KvSegmentShape other = test::store_shape();
    other.model = "model-2";
    KvStore const a = open();
    KvStore const b(a.folder(), test::identity_of(other));
    KvStoreEntry const mine = test::write_document(run(), "a", 3, 1);
    KvStoreEntry const theirs = test::write_document(run(), "b", 3, 2, other);
    a.add(mine, run());
    b.add(theirs, run());
    EXPECT_EQ(a.load().entries.size(), 1U);
    EXPECT_EQ(b.load().entries.size(), 1U);
    EXPECT_FALSE(a.has(theirs.keys.back()));
    EXPECT_THAT(message_of<ValidationError>([&] { a.add(theirs, run()); }),
                HasSubstr("another model"));
    EXPECT_EQ(verify_kv_store(a.folder()).entries, 2);
}

TEST_F(KvStoreTest, RefusesWhatIsNotWhole) {
    KvStore const store = open();
    KvStoreEntry const whole = test::write_document(run(), "a", 6, 1);
    for (std::size_t left_out = 0; left_out < whole.segments.size(); ++left_out) {
        KvStoreEntry entry = whole;
        entry.segments.erase(entry.segments.begin() + static_cast<std::ptrdiff_t>(left_out));
        EXPECT_THAT(message_of<ValidationError>([&] { store.add(entry, run()); }),
                    HasSubstr("missing or not whole"));
    }
    KvStoreEntry entry = whole;
    entry.keys.push_back({1, 2});  // the one before must be full then, and is not
    EXPECT_THAT(message_of<ValidationError>([&] { store.add(entry, run()); }),
                HasSubstr("2 of 7 blocks"));
    entry = whole;
    entry.segments.clear();
    EXPECT_NE(message_of<ValidationError>([&] { store.add(entry, run()); }), "");
    entry = whole;
    entry.segments[2].checksum ^= 1;
    EXPECT_NE(message_of<ValidationError>([&] { store.add(entry, run()); }), "");
    std::filesystem::remove(run() / whole.segments[3].name);
    EXPECT_NE(message_of<ValidationError>([&] { store.add(whole, run()); }), "");
    EXPECT_TRUE(names(store.segments_folder()).empty());
    EXPECT_TRUE(names(kv_store_entries(store.folder())).empty());
}

TEST_F(KvStoreTest, ReplacesWhatWasDamaged) {
    for (LinkFile const link_file : {LinkFile{nullptr}, LinkFile{no_links}}) {
        KvStore const store = open(link_file);
        KvStoreEntry const entry = test::write_document(run(), "a", 6, 1);
        store.add(entry, run());
        auto const segment =
            store.segments_folder() / store.load().entries[0].entry.segments[1].name;
        std::filesystem::remove(segment);
        EXPECT_FALSE(store.has(entry.keys.back()));
        EXPECT_THAT(store.load().problems, testing::ElementsAre(HasSubstr(segment.string())));
        std::ofstream(segment) << "short";
        std::ofstream(kv_store_entry_path(store.folder(), id_of(store, entry))) << "torn";
        EXPECT_FALSE(store.has(entry.keys.back()));
        store.add(entry, run());
        EXPECT_TRUE(store.has(entry.keys.back()));
        EXPECT_TRUE(verify_kv_store(store.folder()).problems.empty());
        std::filesystem::remove_all(store.folder());
    }
}

TEST_F(KvStoreTest, RefusesFoldersOfOtherThings) {
    auto const refusal = [&](char const* name) {
        return message_of<ValidationError>(
            [&] { KvStore const store(scratch_ / name, test::store_identity()); });
    };
    scratch_.write("file", "");
    EXPECT_THAT(refusal("file"), HasSubstr("--kv-store"));
    std::filesystem::create_directories(scratch_ / "home/photos");
    EXPECT_THAT(refusal("home"), HasSubstr("photos"));
    EXPECT_EQ(names(scratch_ / "home").size(), 1U);
    std::filesystem::create_directories(scratch_ / "later");
    scratch_.write("later/format", "longhaul-kv-store 2\n");
    EXPECT_THAT(refusal("later"), HasSubstr("the longhaul that wrote it"));
    // What a crash leaves of a store that was being made is made whole.
    std::filesystem::create_directories(scratch_ / "half/segments");
    scratch_.write("half/format.host-1-1.tmp", "longh");
    EXPECT_EQ(refusal("half"), "");
    EXPECT_EQ(scratch_.read("half/format"), "longhaul-kv-store 1\n");
}

TEST_F(KvStoreTest, EntryComesBackFromItsText) {
    StoredKvEntry entry;
    entry.identity = {"m \"\n", DType::f32, 128};
    entry.entry = {"x/y", 300, {{1, 2}, {~std::uint64_t{0}, 3}}, {}};
    entry.entry.segments = {{std::string(32, 'a') + ".h5", 10, 2, 4'000'000'000U}};
    entry.created_s = 1'700'000'000;
    entry.id = kv_entry_id(entry.identity, entry.entry.keys.back());
    EXPECT_EQ(parse_kv_entry(serialize_kv_entry(entry)), entry);
    KvStoreIdentity other = entry.identity;
    other.block_slots = 64;
    EXPECT_NE(kv_entry_id(other, entry.entry.keys.back()), entry.id);
    EXPECT_FALSE(is_kv_store_segment("../" + std::string(29, 'a') + ".h5"));
}

}  // namespace
}  // namespace longhaul::io
