#include "io/kv_store_prune.hpp"

#include "base/error.hpp"
#include "io/manifest_format.hpp"
#include "unit/io/kv_store/store_support.hpp"

#include <gmock/gmock.h>

#include <algorithm>

namespace longhaul::io {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

/// Documents 0 to 5; number i was last used i minutes ago.
class KvStorePrune : public testing::Test {
  protected:
    KvStorePrune() : store_(scratch_ / "store", test::store_identity()) {
        for (std::int64_t i = 0; i < 6; ++i) {
            added_.push_back(test::write_document(scratch_ / "run", std::to_string(i), 4, i));
            store_.add(added_.back(), scratch_ / "run");
            used_before(store_, id_of(store_, added_.back()), seconds(60 * i + 30));
        }
    }

    [[nodiscard]] std::string left() const {
        std::string documents;
        for (StoredKvEntry const& stored : store_.load().entries) {
            documents += stored.entry.document;
        }
        std::sort(documents.begin(), documents.end());
        EXPECT_TRUE(verify_kv_store(store_.folder()).problems.empty());
        return documents;
    }
    [[nodiscard]] std::int64_t bytes() const {
        std::int64_t sum = 0;
        for (auto const& folder : {store_.segments_folder(), kv_store_entries(store_.folder())}) {
            for (auto const& item : std::filesystem::directory_iterator(folder)) {
                sum += static_cast<std::int64_t>(item.file_size());
            }
        }
        return sum;
    }
    [[nodiscard]] KvPruneReport prune(std::optional<std::int64_t> max_bytes,
                                      std::optional<double> max_age_s,
                                      std::vector<std::string> damaged = {}) const {
        return prune_kv_store(store_.folder(), {max_bytes, max_age_s, std::move(damaged), 1});
    }

    ScratchFolder scratch_;
    KvStore store_;
    std::vector<KvStoreEntry> added_;
};

TEST_F(KvStorePrune, ByAge) {
    KvPruneReport const report = prune(std::nullopt, 180);
    EXPECT_EQ(left(), "012");
    EXPECT_EQ(report.entries_removed, 3);
    EXPECT_EQ(report.entries_kept, 3);
    EXPECT_EQ(report.bytes_kept, bytes());
    EXPECT_TRUE(report.problems.empty());
}

TEST_F(KvStorePrune, BySizeAndUse) {
    std::int64_t const before = bytes();
    EXPECT_EQ(prune(before, std::nullopt).entries_removed, 0);
    store_.touch(id_of(store_, added_[5]));
    store_.add(added_[4], scratch_ / "run");  // there already: used again
    KvPruneReport const report = prune(before / 2, std::nullopt);
    EXPECT_EQ(left(), "045");
    EXPECT_EQ(report.bytes_removed + bytes(), before);
    EXPECT_LE(bytes(), before / 2);
    EXPECT_EQ(prune(1, std::nullopt).entries_kept, 0);
    EXPECT_EQ(bytes(), 0);
}

TEST_F(KvStorePrune, SharedSegmentsCountOnceAndStay) {
    // An entry that ends one block earlier than number 5, and has the same segments.
    StoredKvEntry shorter = store_.load().entries.front();
    ASSERT_EQ(shorter.entry.document, "5");
    shorter.entry.keys.pop_back();
    shorter.id = id_of(store_, shorter.entry);
    publish_file(kv_store_entry_path(store_.folder(), shorter.id), serialize_kv_entry(shorter));
    EXPECT_EQ(prune(std::nullopt, std::nullopt).bytes_kept, bytes());
    KvPruneReport const report = prune(std::nullopt, 300);
    EXPECT_EQ(report.entries_removed, 1) << "number 5";
    EXPECT_EQ(report.segments_removed, 0) << "they are the shorter one's, too";
    EXPECT_EQ(report.bytes_kept, bytes());
    EXPECT_EQ(left(), "012345");
    EXPECT_EQ(prune(1, std::nullopt).bytes_kept, 0);
    EXPECT_EQ(bytes(), 0);
}

TEST_F(KvStorePrune, RemovesWhatNothingNames) {
    auto const segments = store_.segments_folder();
    std::ofstream(segments / (std::string(32, '0') + ".h5")) << "left behind";
    std::ofstream(segments / (std::string(32, '1') + ".h5.host-1-1.tmp")) << "torn";
    std::ofstream(kv_store_entries(store_.folder()) / "x.json.host-1-2.tmp") << "torn";
    std::ofstream(segments / "notes.txt") << "somebody's";
    KvPruneReport const report = prune(std::nullopt, std::nullopt);
    EXPECT_EQ(report.segments_removed, 1);
    EXPECT_EQ(report.entries_removed, 0);
    EXPECT_EQ(names(segments).count("notes.txt"), 1U);
    std::filesystem::remove(segments / "notes.txt");
    EXPECT_EQ(report.bytes_kept, bytes());
    EXPECT_EQ(left(), "012345");
}

TEST_F(KvStorePrune, DamagedEntriesGo) {
    auto const path = kv_store_entry_path(store_.folder(), id_of(store_, added_[2]));
    std::ofstream(path) << "torn";
    KvPruneReport const report = prune(std::nullopt, std::nullopt, {id_of(store_, added_[3])});
    EXPECT_EQ(report.entries_removed, 2);
    EXPECT_TRUE(report.problems.empty());
    EXPECT_EQ(left(), "0145");
    EXPECT_EQ(report.bytes_kept, bytes());
}

TEST_F(KvStorePrune, NothingIsTakenFromAnEntryOfALaterVersion) {
    auto const path = kv_store_entry_path(store_.folder(), id_of(store_, added_[2]));
    std::string const body = "anything\n";
    std::ofstream(path) << manifest_header(2, body, "longhaul-kv-entry ") << body;
    auto const before = names(store_.segments_folder());
    KvPruneReport const report = prune(1, std::nullopt);
    EXPECT_THAT(report.problems, testing::ElementsAre(HasSubstr("format 2")));
    EXPECT_EQ(report.entries_removed, 5);
    EXPECT_EQ(names(store_.segments_folder()), before);
    EXPECT_EQ(names(kv_store_entries(store_.folder())).size(), 1U);
    EXPECT_TRUE(store_.has(added_[2].keys.back())) << "not to be overwritten";
}

TEST_F(KvStorePrune, WaitsForThoseWhoAdd) {
    KvStoreLock const adding(store_.folder(), KvStoreLock::Kind::shared, 1);
    EXPECT_THAT(message_of<ValidationError>([&] {
                    static_cast<void>(prune_kv_store(store_.folder(), {1, {}, {}, 0.1}));
                }),
                HasSubstr("try again"));
    EXPECT_EQ(left(), "012345");
}

}  // namespace
}  // namespace longhaul::io
