// The queue read ahead by a thread, and the router in front of a slow queue.

#include "engine/queue_thread.hpp"

#include "engine/job_router.hpp"
#include "support/engine/engine_runner.hpp"
#include "support/engine/job_lines.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace longhaul::test {
namespace {

std::vector<JobLine> many_jobs(int count) {
    std::vector<JobLine> jobs;
    for (int i = 0; i < count; ++i) {
        jobs.push_back(score_job("job" + std::to_string(i), random_tokens(1, 20)));
    }
    return jobs;
}

std::string id_of(std::optional<io::QueueEntry> const& entry) {
    return entry ? std::get<io::Job>(entry->job).id : "end";
}

TEST(QueueThread, GivesEveryEntryInOrder) {
    EngineRunner const folder;
    std::filesystem::path const path = folder.folder() / "queue.jsonl";
    write_file(path, queue_text(many_jobs(100)));
    io::QueueReader reader(path);
    engine::QueueThread queue(reader, 3, 200);  // fewer bytes than two lines have
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(id_of(queue.next()), "job" + std::to_string(i));
    }
    EXPECT_EQ(id_of(queue.next()), "end");
    EXPECT_TRUE(queue.ready());
    EXPECT_EQ(id_of(queue.next()), "end");
}

TEST(QueueThread, MayBeLeftBeforeTheEnd) {
    EngineRunner const folder;
    std::filesystem::path const path = folder.folder() / "queue.jsonl";
    write_file(path, queue_text(many_jobs(100)));
    io::QueueReader reader(path);
    engine::QueueThread queue(reader);
    EXPECT_EQ(id_of(queue.next()), "job0");
}

TEST(QueueThread, IsNotReadyWhileAPipeIsSilent) {
    EngineRunner const folder;
    std::filesystem::path const path = folder.folder() / "queue.pipe";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    std::ofstream out;
    std::thread opener([&] {
        out.open(path);
        out << queue_text(many_jobs(1)) << std::flush;
    });
    io::QueueReader reader(path);
    opener.join();
    engine::QueueThread queue(reader);
    EXPECT_EQ(id_of(queue.next()), "job0");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(queue.ready());
    out.close();
    EXPECT_EQ(id_of(queue.next()), "end");
}

TEST(JobRouter, SaysLaterWhileTheQueueIsSlow) {
    bool ready = false;
    int given = 0;
    engine::JobRouter router(
        [&]() -> std::optional<io::Job> {
            if (given == 1) {
                return std::nullopt;
            }
            io::Job job;
            job.id = "job" + std::to_string(given++);
            job.text = "text";
            return job;
        },
        4, 1 << 20, [&] { return ready; });
    io::Job job;
    EXPECT_EQ(router.next(0, job), engine::JobRouter::Answer::later);
    ready = true;
    EXPECT_EQ(router.next(0, job), engine::JobRouter::Answer::job);
    ready = false;
    EXPECT_EQ(router.next(0, job), engine::JobRouter::Answer::later);
    ready = true;
    EXPECT_EQ(router.next(0, job), engine::JobRouter::Answer::none);
    ready = false;
    EXPECT_EQ(router.next(0, job), engine::JobRouter::Answer::none) << "it has ended for good";
}

}  // namespace
}  // namespace longhaul::test
