// Many at once: threads and processes that add, read and prune.
#include "unit/io/kv_store/store_support.hpp"

#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <thread>

namespace longhaul::io {
namespace {

constexpr std::int64_t kDocuments = 8;

class KvStoreTogether : public testing::Test {
  protected:
    KvStoreTogether() {
        for (std::int64_t i = 0; i < kDocuments; ++i) {
            added_.push_back(test::write_document(scratch_ / "run", std::to_string(i), 3, i));
        }
    }

    void add_all(LinkFile link_file, std::size_t begin) const {
        KvStore const store(scratch_ / "store", test::store_identity(), link_file);
        for (std::size_t i = 0; i < added_.size(); ++i) {
            store.add(added_[(begin + i) % added_.size()], scratch_ / "run");
        }
    }
    void expect_all() const {
        KvStore const store(scratch_ / "store", test::store_identity());
        EXPECT_EQ(store.load().entries.size(), added_.size());
        EXPECT_TRUE(verify_kv_store(store.folder()).problems.empty());
        for (std::string const& name : names(store.segments_folder())) {
            EXPECT_TRUE(is_kv_store_segment(name)) << name;
        }
    }

    ScratchFolder scratch_;
    std::vector<KvStoreEntry> added_;
};

TEST_F(KvStoreTogether, ThreadsAddTheSame) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] { add_all(i % 2 == 0 ? nullptr : no_links, i); });
    }
    for (std::thread& thread : threads) thread.join();
    expect_all();
}

TEST_F(KvStoreTogether, ProcessesAddTheSame) {
    std::vector<pid_t> children;
    for (std::size_t i = 0; i < 3; ++i) {
        pid_t const child = ::fork();
        if (child == 0) {
            add_all(i % 2 == 0 ? nullptr : no_links, 2 * i);
            ::_exit(0);
        }
        children.push_back(child);
    }
    for (pid_t const child : children) {
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    expect_all();
}

// What a reader sees beside pruning is whole or not there: never an entry that is damaged.
TEST_F(KvStoreTogether, ReadersSeeNoDamageBesidePruning) {
    add_all(nullptr, 0);
    std::atomic<bool> stop{false};
    std::thread pruner([&] {
        while (!stop) {
            static_cast<void>(prune_kv_store(scratch_ / "store", {20'000, {}, {}, 60}));
        }
    });
    std::thread adder([&] {
        for (std::size_t round = 0; round < 5; ++round) add_all(nullptr, round);
        stop = true;
    });
    KvStore const store(scratch_ / "store", test::store_identity());
    while (!stop) {
        for (std::string const& problem : store.load().problems) ADD_FAILURE() << problem;
    }
    adder.join();
    pruner.join();
    EXPECT_TRUE(verify_kv_store(store.folder()).problems.empty());
}

}  // namespace
}  // namespace longhaul::io
