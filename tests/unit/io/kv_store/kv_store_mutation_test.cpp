// Damaged stores: what is wrong is named, and nothing else than what was added comes out.
#include "base/error.hpp"
#include "io/kv_segment_reader.hpp"
#include "support/folder_mutation.hpp"
#include "unit/io/kv_store/store_support.hpp"

#include <algorithm>
#include <map>

namespace longhaul::io {
namespace {

constexpr std::int64_t kMutations = 200;

using test::Contents;
using test::mutated;

class Original {
  public:
    Original() {
        KvStore const store(scratch_ / "store", test::store_identity());
        for (std::int64_t i = 0; i < 3; ++i) {
            added_.push_back(test::write_document(scratch_ / "run", std::to_string(i), 3, i,
                                                  test::store_shape(), 1, 1, 2));
            store.add(added_.back(), scratch_ / "run");
        }
        entries_ = store.load().entries;
        for (auto const& item : std::filesystem::recursive_directory_iterator(scratch_ / "store")) {
            if (item.is_directory()) continue;
            auto const name = std::filesystem::relative(item.path(), scratch_ / "store").string();
            if (name != "lock" && name != "format") {
                contents_[name] = scratch_.read("store/" + name);
            }
        }
    }

    [[nodiscard]] Contents const& contents() const { return contents_; }
    [[nodiscard]] std::vector<KvStoreEntry> const& added() const { return added_; }
    [[nodiscard]] std::filesystem::path run() const { return scratch_ / "run"; }
    [[nodiscard]] bool stored(KvStoreEntry const& entry) const {
        return std::any_of(entries_.begin(), entries_.end(),
                           [&](StoredKvEntry const& other) { return other.entry == entry; });
    }

  private:
    ScratchFolder scratch_;
    std::vector<KvStoreEntry> added_;
    std::vector<StoredKvEntry> entries_;
    Contents contents_;
};

// Whether all blocks of a store's segments read as what the original has under the same name.
void expect_original_blocks(KvStore const& store, KvSegmentInfo const& info,
                            std::string const& original) {
    ScratchFolder const scratch;
    auto const path = store.segments_folder() / info.name;
    try {
        KvSegmentReader const found(path);
        if (found.info().checksum != info.checksum || found.info().blocks != info.blocks) return;
        KvSegmentReader const whole(scratch.write("original.h5", original));
        ASSERT_EQ(found.blocks(), whole.blocks());
        ASSERT_EQ(found.shape(), whole.shape());
        std::vector<std::byte> a(static_cast<std::size_t>(block_bytes(found.shape())));
        std::vector<std::byte> b(a.size());
        for (std::size_t row = 0; row < found.blocks().size(); ++row) {
            if (!found.read_block(static_cast<std::int64_t>(row), a)) continue;
            ASSERT_TRUE(whole.read_block(static_cast<std::int64_t>(row), b));
            EXPECT_EQ(a, b);
        }
    } catch (ValidationError const&) {
    }
}

TEST(KvStoreMutation, EveryDamageIsNamedOrHarmless) {
    Original const original;
    std::int64_t named = 0;
    for (std::uint64_t seed = 0; seed < kMutations; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        std::mt19937_64 random(seed);
        Contents const contents = mutated(original.contents(), random);
        ScratchFolder const scratch;
        make_kv_store(scratch / "");
        for (auto const& [name, content] : contents) scratch.write(name, content);
        KvStore const store(scratch / "", test::store_identity());

        KvStoreContent const content = store.load();
        for (StoredKvEntry const& entry : content.entries) {
            EXPECT_TRUE(original.stored(entry.entry));
        }
        for (KvSegmentInfo const& segment : content.segments) {
            expect_original_blocks(store, segment,
                                   original.contents().at("segments/" + segment.name));
        }
        KvVerifyReport const verified = verify_kv_store(store.folder());
        for (std::string const& problem : content.problems) EXPECT_NE(problem, "");
        EXPECT_TRUE(content.problems.empty() || !verified.problems.empty());
        if (!verified.problems.empty()) ++named;
        // Not named: nothing is different, or an entry is gone as if it had been pruned, or bytes that mean nothing.
        if (verified.problems.empty()) {
            for (auto const& [name, bytes] : original.contents()) {
                if (!name.starts_with("entries/")) continue;
                EXPECT_TRUE(!contents.contains(name) || contents.at(name) == bytes) << name;
            }
        }

        // Pruning what is damaged and adding again makes all well.
        KvPruneReport const pruned = prune_kv_store(store.folder(), {{}, {}, verified.damaged, 1});
        EXPECT_TRUE(pruned.problems.empty());
        EXPECT_TRUE(verify_kv_store(store.folder()).damaged.empty());
        for (KvStoreEntry const& entry : original.added()) store.add(entry, original.run());
        EXPECT_EQ(store.load().entries.size(), 3U);
        EXPECT_TRUE(store.load().problems.empty());
        EXPECT_TRUE(verify_kv_store(store.folder()).damaged.empty());
    }
    EXPECT_GT(named, kMutations / 2);
}

}  // namespace
}  // namespace longhaul::io
