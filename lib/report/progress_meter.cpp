#include "report/progress_meter.hpp"

#include "base/error.hpp"
#include "report/format.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace longhaul::report {
namespace {

// Samples closer than this are merged, so that a caller may update at any pace.
constexpr double kSampleInterval = 0.25;

double ratio(std::int64_t part, std::int64_t whole) {
    return whole > 0 ? std::clamp(static_cast<double>(part) / static_cast<double>(whole), 0.0, 1.0)
                     : 0.0;
}

}  // namespace

ProgressMeter::ProgressMeter(double rate_window_s, double eta_window_s)
    : rate_window_s_(rate_window_s), eta_window_s_(eta_window_s) {
    LH_EXPECT(rate_window_s > 0 && eta_window_s >= rate_window_s);
}

void ProgressMeter::update(ProgressCounters const& counters, double now_s) {
    LH_EXPECT(samples_.empty() || now_s >= samples_.back().now_s);
    counters_ = counters;
    // The last sample is the present; it becomes a fixed one when the one before it is old enough.
    if (samples_.size() >= 2 &&
        samples_.back().now_s - samples_[samples_.size() - 2].now_s < kSampleInterval) {
        samples_.pop_back();
    }
    samples_.push_back(
        {now_s, counters.prompt_tokens_done + counters.generated_tokens, fraction()});
    // One sample at the far end of the longer window, or just beyond it, is kept.
    while (samples_.size() > 2 && samples_[1].now_s <= now_s - eta_window_s_) samples_.pop_front();
}

ProgressMeter::Sample const& ProgressMeter::window_start(double window_s) const {
    double const edge = samples_.back().now_s - window_s;
    auto const first_inside =
        std::find_if(samples_.begin(), samples_.end(),
                     [&](Sample const& sample) { return sample.now_s >= edge; });
    // A gap in the updates longer than the window: the sample before it is the only one to compare with.
    bool const only_the_last =
        first_inside == samples_.end() - 1 && first_inside != samples_.begin();
    return only_the_last ? *(first_inside - 1) : *first_inside;
}

double ProgressMeter::tokens_per_s() const {
    if (samples_.size() < 2) return 0;
    Sample const& start = window_start(rate_window_s_);
    double const seconds = samples_.back().now_s - start.now_s;
    return seconds > 0 ? static_cast<double>(samples_.back().tokens - start.tokens) / seconds : 0;
}

std::optional<double> ProgressMeter::fraction() const {
    ProgressCounters const& c = counters_;
    if (!c.jobs_total) return std::nullopt;
    std::int64_t const to_run = *c.jobs_total - c.jobs_skipped;
    std::int64_t const finished = c.jobs_done + c.jobs_failed;
    if (finished >= to_run) return 1.0;
    std::int64_t const expected = c.prompt_tokens_expected + c.generated_tokens_expected;
    // Jobs that fail before they have tokens still are progress.
    double const of_started = expected > 0
                                  ? ratio(c.prompt_tokens_done + c.generated_tokens, expected)
                                  : ratio(finished, c.jobs_started);
    // The last job's line is still to be written: the end is not reached before it is.
    return std::min(ratio(c.jobs_started, to_run) * of_started, 0.999);
}

std::optional<double> ProgressMeter::eta_s() const {
    auto const share = fraction();
    if (!share || samples_.size() < 2) return std::nullopt;
    if (*share >= 1) return 0.0;
    Sample const& start = window_start(eta_window_s_);
    double const gained = *share - start.fraction.value_or(*share);
    double const seconds = samples_.back().now_s - start.now_s;
    if (gained <= 0 || seconds <= 0) return std::nullopt;
    return (1 - *share) * seconds / gained;
}

std::string ProgressMeter::line() const {
    ProgressCounters const& c = counters_;
    std::string text = fmt::format("jobs {}", c.jobs_done + c.jobs_failed + c.jobs_skipped);
    if (c.jobs_total) text += fmt::format("/{}", *c.jobs_total);
    if (c.jobs_failed > 0 && c.jobs_skipped > 0) {
        text += fmt::format(" ({} failed, {} skipped)", c.jobs_failed, c.jobs_skipped);
    } else if (c.jobs_failed > 0) {
        text += fmt::format(" ({} failed)", c.jobs_failed);
    } else if (c.jobs_skipped > 0) {
        text += fmt::format(" ({} skipped)", c.jobs_skipped);
    }
    if (!c.phase.empty()) text += " | " + c.phase;
    text += fmt::format(
        " | {} + {} tokens | {} tok/s", short_count(static_cast<double>(c.prompt_tokens_done)),
        short_count(static_cast<double>(c.generated_tokens)), short_count(tokens_per_s()));
    if (auto const share = fraction())
        text += fmt::format(" | {}%", static_cast<int>(*share * 100));
    if (auto const eta = eta_s()) text += " | ETA " + clock(*eta);
    return text;
}

}  // namespace longhaul::report
