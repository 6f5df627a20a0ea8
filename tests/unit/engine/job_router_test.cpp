#include "engine/job_router.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>

namespace longhaul::engine {
namespace {

io::Job job(std::string id, std::string document) {
    io::Job result;
    result.id = std::move(id);
    result.kind = io::JobKind::document;
    result.path = std::move(document);
    return result;
}

JobRouter::Source source_of(std::deque<io::Job> jobs) {
    return [jobs = std::move(jobs)]() mutable -> std::optional<io::Job> {
        if (jobs.empty()) {
            return std::nullopt;
        }
        io::Job next = std::move(jobs.front());
        jobs.pop_front();
        return next;
    };
}

std::string next_id(JobRouter& router, int replica) {
    io::Job next;
    switch (router.next(replica, next)) {
        case JobRouter::Answer::job:
            return next.id;
        case JobRouter::Answer::later:
            return "later";
        case JobRouter::Answer::none:
            break;
    }
    return "none";
}

TEST(JobRouter, OneReplicaGetsTheQueueInOrder) {
    JobRouter router(source_of({job("1", "a"), job("2", "b"), job("3", "a")}));
    EXPECT_EQ(next_id(router, 0), "1");
    EXPECT_EQ(next_id(router, 0), "2");
    EXPECT_EQ(next_id(router, 0), "3");
    EXPECT_EQ(next_id(router, 0), "none");
}

TEST(JobRouter, TheSameDocumentGoesToTheSameReplica) {
    JobRouter router(
        source_of({job("1", "a"), job("2", "a"), job("3", "b"), job("4", "a"), job("5", "b")}));
    EXPECT_EQ(next_id(router, 0), "1");
    EXPECT_EQ(next_id(router, 1), "3");  // passes over "2", which is replica 0's
    EXPECT_EQ(next_id(router, 1), "5");
    EXPECT_EQ(next_id(router, 1), "none");
    EXPECT_EQ(next_id(router, 0), "2");
    EXPECT_EQ(next_id(router, 0), "4");
    EXPECT_EQ(next_id(router, 0), "none");
}

TEST(JobRouter, LooksAheadOnlyAsFarAsItMayHold) {
    JobRouter router(source_of({job("1", "a"), job("2", "a"), job("3", "a"), job("4", "b")}), 2);
    EXPECT_EQ(next_id(router, 0), "1");
    EXPECT_EQ(next_id(router, 1), "later");  // holds 2 and 3 for replica 0
    EXPECT_EQ(next_id(router, 0), "2");
    EXPECT_EQ(next_id(router, 1), "4");
}

TEST(JobRouter, InlineTextsAreDocumentsToo) {
    io::Job first;
    first.id = "1";
    first.text = "hello";
    io::Job second = first;
    second.id = "2";
    JobRouter router(source_of({first, second, job("3", "x")}));
    EXPECT_EQ(next_id(router, 0), "1");
    EXPECT_EQ(next_id(router, 1), "3");
    EXPECT_EQ(next_id(router, 0), "2");
}

}  // namespace
}  // namespace longhaul::engine
