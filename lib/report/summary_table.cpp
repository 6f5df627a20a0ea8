#include "report/summary_table.hpp"

#include "report/format.hpp"

#include <fmt/format.h>

namespace longhaul::report {
namespace {

std::string rate(std::int64_t tokens, double seconds) {
    return seconds > 0 ? short_count(static_cast<double>(tokens) / seconds) + " tok/s" : "-";
}

std::string percentiles(std::vector<float> const& samples_s) {
    if (samples_s.empty()) return "-";
    return fmt::format("p50 {}, p99 {}", duration(io::percentile(samples_s, 50)),
                       duration(io::percentile(samples_s, 99)));
}

}  // namespace

void RunSummary::add(io::JobResult const& result) {
    if (!result.ok()) {
        ++jobs_failed;
        return;
    }
    ++jobs_ok;
    prompt_tokens += result.prompt_tokens;
    generated_tokens += result.completion_tokens;
    if (result.prefill) {
        prefilled_tokens += result.prefill->tokens;
        shared_tokens += result.prefill->shared_tokens;
        prefill_s += result.prefill->seconds;
    }
    if (result.ttft_s) ttft_s.push_back(static_cast<float>(*result.ttft_s));
    tbt_s.insert(tbt_s.end(), result.tbt_s.begin(), result.tbt_s.end());
}

std::string summary_table(RunSummary const& summary) {
    std::string jobs = fmt::format("{} ok, {} failed", summary.jobs_ok, summary.jobs_failed);
    if (summary.jobs_skipped > 0) jobs += fmt::format(", {} done before", summary.jobs_skipped);
    std::string prompt = grouped(summary.prompt_tokens);
    if (summary.shared_tokens > 0)
        prompt += fmt::format(" ({} of them shared)", grouped(summary.shared_tokens));
    std::string table;
    auto const row = [&](char const* name, std::string const& value) {
        table += fmt::format("{:<21}{}\n", name, value);
    };
    row("jobs", jobs);
    row("prompt tokens", prompt);
    row("generated tokens", grouped(summary.generated_tokens));
    row("wall time", clock(summary.wall_s));
    row("all tokens", rate(summary.prefilled_tokens + summary.generated_tokens, summary.wall_s));
    row("prefill", rate(summary.prefilled_tokens, summary.prefill_s));
    row("time to first token", percentiles(summary.ttft_s));
    row("time between tokens", percentiles(summary.tbt_s));
    return table;
}

}  // namespace longhaul::report
