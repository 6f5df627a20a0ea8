// Runs that break in the middle: a rank throws, a rank is killed, the disk is full. What was written stays whole, nothing
// hangs, and the same command finishes the rest.
#include "support/models/tiny_model.hpp"
#include "system/support/program.hpp"

#include <sys/mount.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>

namespace longhaul::system_test {
namespace {

class FailingRun : public ProgramTest {
  protected:
    [[nodiscard]] std::int64_t lines_written() const {
        std::string const text = read(output / "results.jsonl");
        return std::count(text.begin(), text.end(), '\n');
    }

    [[nodiscard]] std::int64_t skipped_in_last_run() const {
        return read_json("run.json").at("jobs").at("skipped").get<std::int64_t>();
    }

    // The queue of `jobs` was stopped after `before`: the rest is run, and only the rest.
    void expect_restart_finishes(std::size_t jobs, Results const& before, Launch const& launch) {
        EXPECT_TRUE(ended_with(0, run(launch), 60));
        Results const after = results();
        EXPECT_EQ(after.lines.size(), jobs);
        EXPECT_EQ(after.by_id.size(), jobs);
        EXPECT_EQ(skipped_in_last_run(), static_cast<std::int64_t>(before.by_id.size()));
        for (auto const& [id, result] : before.by_id) {
            EXPECT_EQ(after.by_id.at(id), result) << "the finished job " << id << " was run again";
        }
        EXPECT_EQ(read_json("state.json").value("state", ""), "complete");
    }
};

TEST_F(FailingRun, RankThrowsMidRun) {
    write_queue(long_jobs(6, 8));
    Words const grid{"--spp", "2", "--max-batch", "2"};
    Words broken = grid;
    broken.insert(broken.end(), {"--inject-fault", "1:12"});
    EXPECT_TRUE(failed_with(3, run({.options = broken, .ranks = 2}),
                            {"longhaul[1]", "rehearsed failure at step"}));
    Results const before = results();
    EXPECT_LT(before.lines.size(), 6U);
    EXPECT_EQ(read_json("state.json").value("state", ""), "running");
    expect_restart_finishes(6, before, {.options = grid, .ranks = 2});
}

// Rank 0 has the server's thread and the output folder's lock: it must not wait for either.
TEST_F(FailingRun, FirstRankThrowsMidRun) {
    write_queue(long_jobs(6, 8));
    Words const options{"--spp", "2", "--kvp", "2", "--inject-fault", "0:3"};
    EXPECT_TRUE(failed_with(3, run({.options = options, .ranks = 4}),
                            {"longhaul[0]", "rehearsed failure at step"}));
    expect_restart_finishes(6, results(), {.ranks = 2});
}

TEST_F(FailingRun, OnlyRankThrowsMidRun) {
    write_queue(long_jobs(3, 8));
    ProcessResult const result = run({.options = {"--inject-fault", "0:2"}});
    EXPECT_TRUE(failed_with(3, result, {"rehearsed failure at step 2"}));
    expect_restart_finishes(3, results(), {});
}

class KilledRank : public FailingRun, public ::testing::WithParamInterface<int> {};

TEST_P(KilledRank, EndsTheRunAndLosesNothing) {
    constexpr std::size_t kJobs = 60;
    write_queue(long_jobs(kJobs, 40));
    Launch const launch{.options = {"--spp", "2", "--kvp", "2", "--max-batch", "2"}, .ranks = 4};
    std::unique_ptr<Process> const run = start(launch);
    ASSERT_TRUE(run->wait_until([&] { return lines_written() >= 3; }, patient(30))) << run->err();
    std::optional<pid_t> const victim = run->find_rank(GetParam());
    ASSERT_TRUE(victim.has_value());
    auto const killed_at = std::chrono::steady_clock::now();
    ASSERT_EQ(::kill(*victim, SIGKILL), 0);
    ProcessResult const result = run->wait(patient(30));
    std::chrono::duration<double> const took = std::chrono::steady_clock::now() - killed_at;
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_code, 128 + SIGKILL) << result.err;
    std::string const rank = std::to_string(GetParam());
    EXPECT_NE(result.err.find("process rank " + rank + " with PID"), std::string::npos)
        << result.err;
    EXPECT_NE(result.err.find("exited on signal 9"), std::string::npos) << result.err;
    EXPECT_LT(took.count(), patient(kPrompt));

    Results before = results();
    EXPECT_GE(before.lines.size(), 3U);
    ASSERT_LT(before.lines.size(), kJobs) << "the run was over before the kill";
    expect_restart_finishes(kJobs, before, launch);
}

INSTANTIATE_TEST_SUITE_P(EachPlace, KilledRank, ::testing::Values(0, 1, 3));

// `longhaul run ... 2>&1 | head -1`: who reads the messages is gone, and the run goes on.
TEST_F(FailingRun, ReaderOfTheMessagesGoesAway) {
    write_queue(long_jobs(4, 8));
    test::write_gguf({}, model);
    Words command{"bash", "-c", "\"$@\" 2> >(exec 0<&-; sleep 0.1); exit $?", "bash",
                  longhaul_program()};
    Words const arguments = run_arguments({});
    command.insert(command.end(), arguments.begin(), arguments.end());
    EXPECT_TRUE(ended_with(0, start_command(command)->wait(patient(30)), 30));
    EXPECT_EQ(results().by_id.size(), 4U);
    EXPECT_EQ(read_json("state.json").value("state", ""), "complete");
}

// Ranks without their mpirun must not go on in the background, holding the output folder's lock.
TEST_F(FailingRun, LauncherKilled) {
    constexpr std::size_t kJobs =
        3000;  // the ranks notice within seconds; they must not be done by then
    write_queue(long_jobs(kJobs, 40));
    Launch const launch{.options = {"--spp", "2", "--max-batch", "2"}, .ranks = 2};
    std::unique_ptr<Process> const run = start(launch);
    ASSERT_TRUE(run->wait_until([&] { return lines_written() >= 3; }, patient(30))) << run->err();
    std::optional<pid_t> const first = run->find_rank(0);
    std::optional<pid_t> const second = run->find_rank(1);
    ASSERT_TRUE(first && second);
    ASSERT_EQ(::kill(run->pid(), SIGKILL), 0);
    EXPECT_EQ(run->wait(patient(30)).exit_code, 128 + SIGKILL);
    auto const gone = [&] { return !process_runs(*first) && !process_runs(*second); };
    EXPECT_TRUE(eventually(gone, patient(kPrompt)));
    Results const before = results();
    ASSERT_LT(before.lines.size(), kJobs);
    expect_restart_finishes(kJobs, before, launch);
}

TEST_F(FailingRun, OnlyProcessKilled) {
    constexpr std::size_t kJobs = 60;
    write_queue(long_jobs(kJobs, 40));
    Launch const launch{.options = {"--max-batch", "2"}};
    std::unique_ptr<Process> const run = start(launch);
    ASSERT_TRUE(run->wait_until([&] { return lines_written() >= 3; }, patient(30))) << run->err();
    ASSERT_EQ(::kill(run->pid(), SIGKILL), 0);
    EXPECT_EQ(run->wait(patient(30)).exit_code, 128 + SIGKILL);
    Results const before = results();
    ASSERT_LT(before.lines.size(), kJobs);
    expect_restart_finishes(kJobs, before, launch);
}

/// An output folder on a file system of its own, as small as the test wants it. Needs the right to mount.
class FullDisk : public FailingRun {
  protected:
    ~FullDisk() override {
        if (mounted_) {
            ::umount2(disk_.c_str(), MNT_DETACH);
        }
    }

    [[nodiscard]] bool mount_disk(std::string const& size) {
        disk_ = folder() / "disk";
        std::filesystem::create_directory(disk_);
        std::string const options = "size=" + size;
        mounted_ = ::mount("tmpfs", disk_.c_str(), "tmpfs", 0, options.c_str()) == 0;
        output = disk_ / "out";
        return mounted_;
    }

    void fill_disk() {
        std::ofstream(disk_ / "filler", std::ios::binary) << std::string(1 << 20, '.');
    }

    void enlarge_disk() {
        ASSERT_EQ(::mount("tmpfs", disk_.c_str(), "tmpfs", MS_REMOUNT, "size=4m"), 0);
    }

  private:
    std::filesystem::path disk_;
    bool mounted_ = false;
};

TEST_F(FullDisk, AtTheStart) {
    if (!mount_disk("16k")) {
        GTEST_SKIP() << "mounting a file system is not allowed here";
    }
    fill_disk();
    write_queue(long_jobs(2, 4));
    EXPECT_TRUE(
        failed_with(2, run({.ranks = 2}), {"No space left", "disk/out", "free some space"}));
    enlarge_disk();
    expect_restart_finishes(2, results(), {.ranks = 2});
}

TEST_F(FullDisk, InTheMiddle) {
    if (!mount_disk("64k")) {
        GTEST_SKIP() << "mounting a file system is not allowed here";
    }
    constexpr std::size_t kJobs = 60;  // about 2 KB each
    std::vector<Json> jobs = long_jobs(kJobs, 16);
    for (Json& job : jobs) {
        job["logprobs"] = 4;
    }
    write_queue(jobs);
    Launch const launch{.options = {"--spp", "2"}, .ranks = 2};
    EXPECT_TRUE(failed_with(3, run(launch), {"No space left", "results.jsonl", "free some space"}));
    Results const before = results();
    EXPECT_GE(before.lines.size(), 5U);
    EXPECT_LT(before.lines.size(), kJobs);
    enlarge_disk();
    expect_restart_finishes(kJobs, before, launch);
}

// A limit of file sizes works without any rights. Set between mpirun and longhaul, since MPI's own files need room.
TEST_F(FailingRun, FileSizeLimit) {
    constexpr std::size_t kJobs = 24;
    std::vector<Json> jobs = long_jobs(kJobs, 8);
    for (Json& job : jobs) {
        job["logprobs"] = 4;
    }
    write_queue(jobs);
    test::write_gguf({}, model);
    Words command = mpirun(1);
    command.insert(command.end(), {"--mca", "btl", "self", "bash", "-c",
                                   "ulimit -f 12 && exec \"$@\"", "bash", longhaul_program()});
    Words const arguments = run_arguments({"--quiet"});
    command.insert(command.end(), arguments.begin(), arguments.end());
    ProcessResult const result = start_command(command)->wait(patient(30));
    EXPECT_TRUE(failed_with(3, result, {"File too large", "results.jsonl", "ulimit"}));
    Results const before = results();
    EXPECT_GE(before.lines.size(), 1U);
    EXPECT_LT(before.lines.size(), kJobs);
    expect_restart_finishes(kJobs, before, {});
}

}  // namespace
}  // namespace longhaul::system_test
