#include "report/summary_table.hpp"

#include <gtest/gtest.h>

namespace longhaul::report {
namespace {

TEST(SummaryTable, AddsUpResults) {
    RunSummary summary;
    for (int i = 1; i <= 100; ++i) {
        io::JobResult result;
        result.prompt_tokens = 1200;
        result.completion_tokens = 50;
        result.ttft_s = i;
        result.tbt_s = {0.01F, 0.02F};
        result.prefill = io::PrefillInfo{"chunked", 512, 1000, 200, 0.5, 0.0};
        summary.add(result);
    }
    summary.add(io::failed_result("x", "h", {"empty", "m"}));
    summary.jobs_skipped = 2;
    summary.wall_s = 100;
    EXPECT_EQ(summary_table(summary),
              "jobs                 100 ok, 1 failed, 2 done before\n"
              "prompt tokens        120,000 (20,000 of them shared)\n"
              "generated tokens     5,000\n"
              "wall time            1:40\n"
              "all tokens           1.1k tok/s\n"
              "prefill              2.0k tok/s\n"
              "time to first token  p50 50.00 s, p99 99.00 s\n"
              "time between tokens  p50 10 ms, p99 20 ms\n");
}

TEST(SummaryTable, OfNothing) {
    std::string const table = summary_table({});
    EXPECT_NE(table.find("0 ok, 0 failed\n"), std::string::npos);
    EXPECT_NE(table.find("time to first token"), std::string::npos);
}

}  // namespace
}  // namespace longhaul::report
