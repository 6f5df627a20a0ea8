#include "base/checked.hpp"
#include "base/error.hpp"
#include "comm/loopback.hpp"
#include "engine/bench_rank.hpp"
#include "app/bench_report.hpp"
#include "app/model_work.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

namespace longhaul::app {
namespace {

using Clock = std::chrono::steady_clock;

/// Steps before those that count: the matrix library chooses its algorithms in them.
constexpr std::int64_t kWarmSteps = 3;
/// Steps that a mean of their parts is of.
constexpr std::int64_t kPartSteps = 8;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Where the time of steps goes, by marks that cost a GPU a little.
class PartTimes {
  public:
    explicit PartTimes(engine::BenchRank& rank) : rank_(rank), before_(rank.counters()) {
        rank.watch_parts(true);
    }
    void restart() { before_ = rank_.counters(); }
    /// Of `steps` steps, each of which took `marked_s` on average. On a GPU what the parts leave of `step_s`, the time without
    /// marks, are gaps.
    void end(std::int64_t steps, double marked_s, double step_s, BenchRow& row) {
        using engine::StepPart;
        rank_.watch_parts(false);
        engine::StepCounters const& after = rank_.counters();
        double rest = 1e3 * (rank_.on_gpu() ? step_s : marked_s);
        auto const add = [&](char const* name, StepPart part) {
            double const ms =
                (after.of(part) - before_.of(part)) * 1e3 / static_cast<double>(steps);
            row[name] = ms;
            rest -= ms;
        };
        add("attention_ms", StepPart::attention);
        add("linear_ms", StepPart::linear);
        add("head_ms", StepPart::head);
        if (rank_.grid().shape().product() > 1) {
            add("messages_ms", StepPart::messages);
        }
        if (rank_.on_gpu()) {
            add("other_ms", StepPart::other);
        }
        row[rank_.on_gpu() ? "gaps_ms" : "other_ms"] = rest;
    }

  private:
    engine::BenchRank& rank_;
    engine::StepCounters before_;
};

engine::BenchRankOptions rank_options(BenchOptions const& options, std::int64_t sequences,
                                      std::int64_t slots) {
    engine::BenchRankOptions rank;
    rank.model = options.model;
    rank.random_weights = options.random_weights;
    rank.dtype = options.dtype;
    rank.exec.backend = options.backend;
    rank.exec.threads = options.threads;
    rank.chunk = options.chunk;
    rank.block_slots = options.block_slots;
    rank.sequences = sequences;
    rank.slots = slots;
    rank.emulated = options.emulated;
    return rank;
}

void with_rank(engine::BenchRankOptions const& options,
               std::function<void(engine::BenchRank&)> const& body) {
    comm::run_loopback(1, [&](comm::Communicator& world) {
        engine::BenchRank rank(world, options);
        body(rank);
    });
}

struct PrefillTime {
    double busy_s = 0.0;  ///< of this rank, until its last chunk is done
    double ttft_s = 0.0;  ///< with the stages behind it
    std::int64_t steps = 0;
};

/// A prompt from its first chunk to its token.
PrefillTime prefill(engine::BenchRank& rank, SequenceId id, std::int64_t tokens) {
    std::int64_t const stages = rank.grid().shape().spp;
    rank.admit(id, tokens, 1, 0);
    rank.wait();
    Clock::time_point const begin = Clock::now();
    Clock::time_point last = begin;
    double chunk_before_s = 0.0;
    PrefillTime time;
    while (rank.step().tokens == 0) {
        ++time.steps;
        if (stages > 1) {  // the last chunks are timed apart
            rank.wait();
            chunk_before_s = seconds_since(std::exchange(last, Clock::now()));
        }
    }
    ++time.steps;
    time.busy_s = seconds_since(begin);
    // The other stages take the longest chunk one after the other, and all others beside it. That is the last one, or, where
    // that is a short rest, the one before.
    double const longest_s = std::max(chunk_before_s, seconds_since(last));
    time.ttft_s = time.busy_s + static_cast<double>(stages - 1) * longest_s;
    rank.end(id);
    return time;
}

/// Steps until every sequence of the batch has chosen a token in the same step: they decode from here on.
void start_decoding(engine::BenchRank& rank, std::int64_t batch) {
    while (rank.step().tokens < batch) {
    }
    for (std::int64_t i = 0; i < kWarmSteps; ++i) {
        static_cast<void>(rank.step());
    }
}

void admit_batch(engine::BenchRank& rank, BenchOptions const& options, std::int64_t context,
                 std::int64_t new_tokens, bool random_kv) {
    if (random_kv) {
        rank.fill_kv(1);
    }
    for (SequenceId id = 0; id < options.batch; ++id) {
        rank.admit(id, context, new_tokens, random_kv ? context - 1 : 0);
    }
}

/// Tokens that a sequence of the batch may choose: sequences that begin earlier go on until the last one has begun.
std::int64_t tokens_needed(BenchOptions const& options, std::int64_t context, bool random_kv) {
    std::int64_t const chunks = random_kv ? 1 : ceil_div(context, options.chunk);
    return options.batch * chunks + 3 * kWarmSteps + options.steps + kPartSteps + 4;
}

/// Of steps that are waited for one by one.
std::vector<double> step_times(engine::BenchRank& rank, std::int64_t steps) {
    std::vector<double> seconds;
    seconds.reserve(static_cast<std::size_t>(steps));
    for (std::int64_t i = 0; i < steps; ++i) {
        rank.wait();
        Clock::time_point const begin = Clock::now();
        static_cast<void>(rank.step());
        rank.wait();
        seconds.push_back(seconds_since(begin));
    }
    return seconds;
}

void add_parts(engine::BenchRank& rank, double step_s, BenchRow& row) {
    PartTimes parts(rank);
    static_cast<void>(
        step_times(rank, kWarmSteps));  // graphs are recorded anew, with marks in them
    parts.restart();
    std::vector<double> const marked = step_times(rank, kPartSteps);
    double const sum = std::accumulate(marked.begin(), marked.end(), 0.0);
    parts.end(kPartSteps, sum / static_cast<double>(kPartSteps), step_s, row);
}

void say_if_emulated(BenchOptions const& options, BenchRow& row) {
    if (options.emulated) {
        comm::GridShape const& grid = options.emulated->grid;
        row["emulated"] =
            fmt::format("rank {} of {}x{}x{}", options.emulated->rank, grid.spp, grid.kvp, grid.tp);
    }
}

}  // namespace

std::vector<BenchRow> bench_prefill(BenchOptions const& options, BenchCeilings const& ceilings) {
    std::vector<BenchRow> table;
    std::int64_t const longest = *std::max_element(options.tokens.begin(), options.tokens.end());
    with_rank(rank_options(options, 1, longest), [&](engine::BenchRank& rank) {
        ModelWork const work(rank, options.dtype);
        SequenceId next = 0;
        for (std::int64_t const tokens : options.tokens) {
            // Both kinds of chunk that this prompt has: a whole one, and what is left.
            std::int64_t const rest = tokens % options.chunk;
            static_cast<void>(prefill(rank, next++, std::min(tokens, options.chunk + rest)));
            std::vector<double> ttft_s;
            std::vector<double> busy_s;
            for (int i = 0; i < options.repeat; ++i) {
                PrefillTime const time = prefill(rank, next++, tokens);
                ttft_s.push_back(time.ttft_s);
                busy_s.push_back(time.busy_s);
            }
            double const ttft = quantile(ttft_s, 0.5);
            double const rate = work.flop(tokens, 0, 1) / quantile(busy_s, 0.5);
            BenchRow row = {{"tokens", tokens},
                            {"chunk", options.chunk},
                            {"ttft_s", ttft},
                            {"tokens_per_s", static_cast<double>(tokens) / ttft},
                            {"tflop_per_s", rate * 1e-12},
                            {"mfu", rate / ceilings.flop_per_s}};
            if (options.parts) {
                PartTimes parts(rank);
                PrefillTime const time = prefill(rank, next++, tokens);
                auto const steps = static_cast<double>(time.steps);
                parts.end(time.steps, time.busy_s / steps, quantile(busy_s, 0.5) / steps, row);
            }
            say_if_emulated(options, row);
            table.push_back(std::move(row));
        }
    });
    return table;
}

std::vector<BenchRow> bench_decode(BenchOptions const& options, BenchCeilings const& ceilings) {
    std::vector<BenchRow> table;
    for (std::int64_t const context : options.context) {
        std::int64_t const needed = tokens_needed(options, context, options.random_kv);
        auto const with = rank_options(options, options.batch, context + needed);
        with_rank(with, [&](engine::BenchRank& rank) {
            admit_batch(rank, options, context, needed, options.random_kv);
            start_decoding(rank, options.batch);
            std::vector<double> const seconds = step_times(rank, options.steps);
            double const step = quantile(seconds, 0.5);
            auto const stages = static_cast<double>(rank.grid().shape().spp);
            double const tbt = step * stages;
            double const bytes = ModelWork(rank, options.dtype)
                                     .decode_bytes(options.batch, static_cast<double>(context));
            BenchRow row = {{"context", context},
                            {"batch", options.batch},
                            {"kv", options.random_kv ? "random" : "prefill"},
                            {"tbt_ms", tbt * 1e3},
                            {"p90_ms", quantile(seconds, 0.9) * stages * 1e3},
                            {"tokens_per_s", static_cast<double>(options.batch) / tbt},
                            {"gb_per_token_step", bytes * 1e-9},
                            {"tb_per_s", bytes / step * 1e-12},
                            {"share_of_copy", bytes / step / ceilings.bytes_per_s}};
            add_parts(rank, step, row);
            say_if_emulated(options, row);
            table.push_back(std::move(row));
        });
    }
    return table;
}

std::vector<BenchRow> bench_step(BenchOptions const& options) {
    std::vector<BenchRow> table;
    for (std::int64_t const context : options.context) {
        std::int64_t const base = round_down(context, options.chunk);
        std::int64_t const chunks = 2 * kWarmSteps + options.steps + kPartSteps + 1;
        std::int64_t const prompt = base + chunks * options.chunk + 1;
        std::int64_t const needed = tokens_needed(options, context, true);
        std::int64_t const slots = std::max(context + needed, prompt);
        with_rank(rank_options(options, options.batch + 1, slots), [&](engine::BenchRank& rank) {
            admit_batch(rank, options, context, needed, true);
            start_decoding(rank, options.batch);
            rank.admit(options.batch, prompt, 1, base);
            static_cast<void>(rank.step());  // it is loaded, not computed
            static_cast<void>(step_times(rank, kWarmSteps));
            std::vector<double> const seconds = step_times(rank, options.steps);
            double const step = quantile(seconds, 0.5);
            std::int64_t const rows = options.batch + options.chunk;
            BenchRow row = {{"context", context},
                            {"decodes", options.batch},
                            {"chunk", options.chunk},
                            {"step_ms", step * 1e3},
                            {"p90_ms", quantile(seconds, 0.9) * 1e3},
                            {"rows_per_s", static_cast<double>(rows) / step}};
            add_parts(rank, step, row);
            say_if_emulated(options, row);
            table.push_back(std::move(row));
        });
    }
    return table;
}

}  // namespace longhaul::app
