#include "base/checked.hpp"
#include "base/error.hpp"
#include "comm/loopback.hpp"
#include "engine/bench_rank.hpp"
#include "app/bench_report.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace longhaul::app {
namespace {

using Clock = std::chrono::steady_clock;

/// Steps before those that count: the matrix library chooses its algorithms in them.
constexpr std::int64_t kWarmSteps = 3;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Work that a model takes by its shape.
class ModelWork {
  public:
    ModelWork(ModelConfig const& config, DType dtype)
        : attention_(config.num_layers * config.num_heads * config.head_dim),
          kv_(2 * config.num_layers * config.num_kv_heads * config.head_dim * dtype_bytes(dtype)),
          head_(config.vocab_size * config.hidden_dim),
          bytes_(dtype_bytes(dtype)) {
        std::int64_t const heads = config.num_heads * config.head_dim;
        std::int64_t const kv_heads = config.num_kv_heads * config.head_dim;
        layers_ =
            config.num_layers * config.hidden_dim * (2 * heads + 2 * kv_heads + 3 * config.ffn_dim);
    }

    /// Of `rows` entries behind `context` others, each of which sees all before it, with logits for `sampled` of them.
    [[nodiscard]] double flop(std::int64_t rows, std::int64_t context, std::int64_t sampled) const {
        auto const n = static_cast<double>(rows);
        double const pairs = n * static_cast<double>(context) + n * (n + 1.0) / 2.0;
        return 2.0 * static_cast<double>(layers_) * n +
               2.0 * static_cast<double>(head_) * static_cast<double>(sampled) +
               4.0 * static_cast<double>(attention_) * pairs;
    }
    /// Read by one step that decodes `batch` sequences behind `context` entries.
    [[nodiscard]] double decode_bytes(std::int64_t batch, double context) const {
        return static_cast<double>((layers_ + head_) * bytes_) +
               static_cast<double>(kv_ * batch) * context;
    }

  private:
    std::int64_t attention_;
    std::int64_t kv_;
    std::int64_t head_;
    std::int64_t bytes_;
    std::int64_t layers_ = 0;
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
    return rank;
}

void with_rank(engine::BenchRankOptions const& options,
               std::function<void(engine::BenchRank&)> const& body) {
    comm::run_loopback(1, [&](comm::Communicator& world) {
        engine::BenchRank rank(world, options);
        body(rank);
    });
}

/// Seconds until the prompt's token is there.
double prefill(engine::BenchRank& rank, SequenceId id, std::int64_t tokens) {
    rank.admit(id, tokens, 1, 0);
    rank.wait();
    Clock::time_point const begin = Clock::now();
    while (rank.step().tokens == 0) {
    }
    double const seconds = seconds_since(begin);
    rank.end(id);
    return seconds;
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
    return options.batch * chunks + 2 * kWarmSteps + options.steps + 4;
}

}  // namespace

std::vector<BenchRow> bench_prefill(BenchOptions const& options, BenchCeilings const& ceilings) {
    std::vector<BenchRow> table;
    std::int64_t const longest = *std::max_element(options.tokens.begin(), options.tokens.end());
    with_rank(rank_options(options, 1, longest), [&](engine::BenchRank& rank) {
        ModelWork const work(rank.config(), options.dtype);
        SequenceId next = 0;
        for (std::int64_t const tokens : options.tokens) {
            // Both kinds of chunk that this prompt has: a whole one, and what is left.
            std::int64_t const rest = tokens % options.chunk;
            static_cast<void>(prefill(rank, next++, std::min(tokens, options.chunk + rest)));
            std::vector<double> seconds;
            seconds.reserve(static_cast<std::size_t>(options.repeat));
            for (int i = 0; i < options.repeat; ++i) {
                seconds.push_back(prefill(rank, next++, tokens));
            }
            double const ttft = quantile(seconds, 0.5);
            double const rate = work.flop(tokens, 0, 1) / ttft;
            table.push_back({{"tokens", tokens},
                             {"chunk", options.chunk},
                             {"ttft_s", ttft},
                             {"tokens_per_s", static_cast<double>(tokens) / ttft},
                             {"tflop_per_s", rate * 1e-12},
                             {"mfu", rate / ceilings.flop_per_s}});
        }
    });
    return table;
}

std::vector<BenchRow> bench_decode(BenchOptions const& options, BenchCeilings const& ceilings) {
    std::vector<BenchRow> table;
    for (std::int64_t const context : options.context) {
        std::int64_t const needed = tokens_needed(options, context, options.random_kv);
        with_rank(
            rank_options(options, options.batch, context + needed), [&](engine::BenchRank& rank) {
                admit_batch(rank, options, context, needed, options.random_kv);
                start_decoding(rank, options.batch);
                std::vector<double> seconds;
                seconds.reserve(static_cast<std::size_t>(options.steps));
                for (std::int64_t i = 0; i < options.steps; ++i) {
                    Clock::time_point const begin = Clock::now();
                    static_cast<void>(rank.step());
                    seconds.push_back(seconds_since(begin));
                }
                double const tbt = quantile(seconds, 0.5);
                double const bytes = ModelWork(rank.config(), options.dtype)
                                         .decode_bytes(options.batch, static_cast<double>(context));
                table.push_back({{"context", context},
                                 {"batch", options.batch},
                                 {"kv", options.random_kv ? "random" : "prefill"},
                                 {"tbt_ms", tbt * 1e3},
                                 {"p90_ms", quantile(seconds, 0.9) * 1e3},
                                 {"tokens_per_s", static_cast<double>(options.batch) / tbt},
                                 {"gb_per_token_step", bytes * 1e-9},
                                 {"tb_per_s", bytes / tbt * 1e-12},
                                 {"share_of_copy", bytes / tbt / ceilings.bytes_per_s}});
            });
    }
    return table;
}

std::vector<BenchRow> bench_step(BenchOptions const& options) {
    std::vector<BenchRow> table;
    for (std::int64_t const context : options.context) {
        std::int64_t const base = round_down(context, options.chunk);
        std::int64_t const prompt = base + (options.steps + kWarmSteps + 1) * options.chunk + 1;
        std::int64_t const needed = tokens_needed(options, context, true);
        std::int64_t const slots = std::max(context + needed, prompt);
        with_rank(rank_options(options, options.batch + 1, slots), [&](engine::BenchRank& rank) {
            admit_batch(rank, options, context, needed, true);
            start_decoding(rank, options.batch);
            rank.admit(options.batch, prompt, 1, base);
            static_cast<void>(rank.step());  // it is loaded, not computed
            for (std::int64_t i = 0; i < kWarmSteps; ++i) {
                static_cast<void>(rank.step());
            }
            std::vector<double> seconds;
            seconds.reserve(static_cast<std::size_t>(options.steps));
            engine::StepCounters const before = rank.counters();
            std::int64_t rows = 0;
            for (std::int64_t i = 0; i < options.steps; ++i) {
                rank.wait();
                Clock::time_point const begin = Clock::now();
                rows = rank.step().rows;
                rank.wait();
                seconds.push_back(seconds_since(begin));
            }
            LH_ASSERT(rows == options.batch + options.chunk);
            BenchRow row = {{"context", context},
                            {"decodes", options.batch},
                            {"chunk", options.chunk},
                            {"step_ms", quantile(seconds, 0.5) * 1e3},
                            {"p90_ms", quantile(seconds, 0.9) * 1e3},
                            {"rows_per_s", static_cast<double>(rows) / quantile(seconds, 0.5)}};
            // A GPU's kernels run behind the clock of the host: only there the parts can be told.
            if (options.backend == kernels::Backend::cpu) {
                double const per_step = 1e3 / static_cast<double>(options.steps);
                engine::StepCounters const& after = rank.counters();
                row["attention_ms"] = (after.attention_s - before.attention_s) * per_step;
                row["linear_ms"] = (after.linear_s - before.linear_s) * per_step;
                row["head_ms"] = (after.head_s - before.head_s) * per_step;
            }
            table.push_back(std::move(row));
        });
    }
    return table;
}

}  // namespace longhaul::app
