// A disk that is full, and runs that end in the middle of adding.
#include "base/error.hpp"
#include "support/file_size_limit.hpp"
#include "unit/io/kv_store/store_support.hpp"

#include <gmock/gmock.h>

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

namespace longhaul::io {
namespace {

using testing::HasSubstr;

int g_links_left = 0;

// The process dies instead of making one link more.
int link_or_die(char const* from, char const* to) {
    if (g_links_left-- == 0) ::kill(::getpid(), SIGKILL);
    return ::link(from, to);
}

// The disk is full instead of holding one name more.
int link_or_fail(char const* from, char const* to) {
    if (g_links_left-- == 0) {
        errno = ENOSPC;
        return -1;
    }
    return ::link(from, to);
}

class KvStoreFailure : public testing::Test {
  protected:
    KvStoreFailure()
        : first_(test::write_document(scratch_ / "run", "first", 3, 1)),
          second_(test::write_document(scratch_ / "run", "second", 3, 2)) {
        open().add(first_, scratch_ / "run");
    }
    [[nodiscard]] KvStore open(LinkFile link_file = nullptr) const {
        return KvStore(scratch_ / "store", test::store_identity(), link_file);
    }
    void expect_first_only() const {
        KvStoreContent const content = open().load();
        ASSERT_EQ(content.entries.size(), 1U);
        EXPECT_EQ(content.entries[0].entry.document, "first");
        EXPECT_TRUE(content.problems.empty());
        EXPECT_TRUE(verify_kv_store(scratch_ / "store").problems.empty());
    }

    ScratchFolder scratch_;
    KvStoreEntry first_;
    KvStoreEntry second_;
};

TEST_F(KvStoreFailure, FullDiskLeavesNothingHalf) {
    auto const before = names(scratch_ / "store/segments");
    for (std::size_t limit : {0UL, 100UL, 3000UL}) {
        std::string message;
        {
            test::FileSizeLimit const full(limit);
            message = message_of<IoError>([&] { open(no_links).add(second_, scratch_ / "run"); });
        }
        EXPECT_THAT(message, HasSubstr("ulimit -f")) << limit;
        EXPECT_EQ(names(scratch_ / "store/segments"), before);
        EXPECT_EQ(names(scratch_ / "store/entries").size(), 1U);
        expect_first_only();
    }
    for (g_links_left = 0; g_links_left < 8;) {
        int const done = g_links_left;
        EXPECT_THAT(message_of<IoError>([&] { open(link_or_fail).add(second_, scratch_ / "run"); }),
                    HasSubstr("free some space"));
        EXPECT_EQ(names(scratch_ / "store/segments"), before) << done;
        expect_first_only();
        g_links_left = done + 1;
    }
    open().add(second_, scratch_ / "run");
    EXPECT_EQ(open().load().entries.size(), 2U);
}

TEST_F(KvStoreFailure, AFailureLeavesAloneWhatOthersAdd) {
    auto const before = names(scratch_ / "store/segments").size();
    {
        KvStoreLock const other(scratch_ / "store", KvStoreLock::Kind::shared, 1);
        g_links_left = 3;
        EXPECT_NE(message_of<IoError>([&] { open(link_or_fail).add(second_, scratch_ / "run"); }),
                  "");
        EXPECT_EQ(names(scratch_ / "store/segments").size(), before + 3);
    }
    EXPECT_EQ(prune_kv_store(scratch_ / "store", {}).segments_removed, 3);
    expect_first_only();
}

TEST_F(KvStoreFailure, KilledWhileAdding) {
    auto const before = names(scratch_ / "store/segments");
    for (int links = 0; links < 6; links += 2) {
        pid_t const child = ::fork();
        if (child == 0) {
            g_links_left = links;
            open(link_or_die).add(second_, scratch_ / "run");
            ::_exit(0);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status));
        expect_first_only();
        EXPECT_EQ(names(scratch_ / "store/segments").size(),
                  before.size() + static_cast<std::size_t>(links));
        static_cast<void>(prune_kv_store(scratch_ / "store", {}));
        EXPECT_EQ(names(scratch_ / "store/segments"), before);
    }
    open().add(second_, scratch_ / "run");
    EXPECT_EQ(open().load().entries.size(), 2U);
}

}  // namespace
}  // namespace longhaul::io
