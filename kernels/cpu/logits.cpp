#include "base/checked.hpp"
#include "kernels/cpu/activation.hpp"
#include "kernels/cpu/linear_parallel.hpp"
#include "kernels/logits_backends.hpp"
#include "kernels/logits_noise.hpp"

#include <algorithm>

namespace longhaul::kernels::cpu {

namespace {

/// Rows are cut into chunks of this many tokens, whose summaries merge in order: the same bits for any number of threads.
constexpr std::int64_t kChunk = 4096;

/// One chunk of one row.
struct Chunk {
    float const* logits = nullptr;
    Range vocab;
    LogitQuery const& query;
};

void choose_greedily(Chunk const& chunk, float max, LogitSummary& summary) {
    auto const* const best = std::find(chunk.logits, chunk.logits + chunk.vocab.size(), max);
    summary.chosen = {static_cast<TokenId>(chunk.vocab.begin + (best - chunk.logits)), max};
    summary.chosen_score = max;
}

void choose_by_noise(Chunk const& chunk, LogitSummary& summary) {
    GumbelNoise const noise(chunk.query);
    double const temperature = chunk.query.temperature;
    for (std::int64_t i = 0; i < chunk.vocab.size(); ++i) {
        auto const id = static_cast<TokenId>(chunk.vocab.begin + i);
        double const scaled = chunk.logits[i] / temperature;
        std::uint64_t const bits = noise.bits(id);
        // Two logarithms for each of 49 000 candidates would cost more than the model's last layer.
        if (summary.chosen.id >= 0 &&
            scaled + GumbelNoise::upper_bound(bits) < summary.chosen_score) {
            continue;
        }
        double const score = scaled + GumbelNoise::noise(bits);
        if (summary.chosen.id < 0 || score > summary.chosen_score) {
            summary.chosen = {id, chunk.logits[i]};
            summary.chosen_score = score;
        }
    }
}

void collect_top(Chunk const& chunk, LogitSummary& summary) {
    auto const count =
        static_cast<std::size_t>(std::min<std::int64_t>(chunk.query.top_k, chunk.vocab.size()));
    auto const better = [](ScoredToken const& a, ScoredToken const& b) { return beats(a, b); };
    std::vector<ScoredToken>& heap = summary.top;  // its front is the worst one kept
    heap.reserve(count);
    for (std::int64_t i = 0; i < chunk.vocab.size(); ++i) {
        float const logit = chunk.logits[i];
        if (heap.size() == count) {
            // Equal logits: the earlier, smaller id stays.
            if (!(logit > heap.front().logit)) {
                continue;
            }
            std::pop_heap(heap.begin(), heap.end(), better);
            heap.pop_back();
        }
        heap.push_back({static_cast<TokenId>(chunk.vocab.begin + i), logit});
        std::push_heap(heap.begin(), heap.end(), better);
    }
    std::sort_heap(heap.begin(), heap.end(), better);
}

LogitSummary summarize_chunk(RowKernels const& kernels, Chunk const& chunk) {
    LogitSpan const span = kernels.summarize(chunk.logits, chunk.vocab.size());
    LogitSummary summary;
    summary.finite = span.finite;
    summary.max = span.max;
    summary.sum_exp = span.sum_exp;
    if (!span.finite) {
        return summary;
    }
    if (chunk.vocab.contains(chunk.query.target)) {
        summary.target_logit = chunk.logits[chunk.query.target - chunk.vocab.begin];
        summary.has_target = true;
    }
    if (chunk.query.sample && chunk.query.temperature == 0.0F) {
        choose_greedily(chunk, span.max, summary);
    } else if (chunk.query.sample) {
        choose_by_noise(chunk, summary);
    }
    if (chunk.query.top_k > 0) {
        collect_top(chunk, summary);
    }
    return summary;
}

}  // namespace

void summarize_logits(ExecContext const& exec, float const* logits, Range vocab,
                      std::span<LogitQuery const> queries, std::span<LogitSummary> summaries) {
    RowKernels const& kernels = row_kernels(exec.isa);
    auto const rows = static_cast<std::int64_t>(queries.size());
    std::int64_t const chunks = ceil_div(vocab.size(), kChunk);
    auto const summarize = [&](std::int64_t row, std::int64_t index) {
        Range const part{vocab.begin + index * kChunk,
                         std::min(vocab.begin + (index + 1) * kChunk, vocab.end)};
        return summarize_chunk(kernels, {logits + row * vocab.size() + index * kChunk, part,
                                         queries[static_cast<std::size_t>(row)]});
    };
    auto const merge = [&](std::int64_t row, LogitSummary const& part) {
        auto const at = static_cast<std::size_t>(row);
        merge_summaries(summaries[at], part, queries[at]);
    };
    if (rows >= exec.threads) {
        parallel_for(exec.threads, rows, [&](std::int64_t row) {
            for (std::int64_t index = 0; index < chunks; ++index) {
                merge(row, summarize(row, index));
            }
        });
        return;
    }
    std::vector<LogitSummary> parts(static_cast<std::size_t>(rows * chunks));
    parallel_for(exec.threads, rows * chunks, [&](std::int64_t i) {
        parts[static_cast<std::size_t>(i)] = summarize(i / chunks, i % chunks);
    });
    for (std::int64_t i = 0; i < rows * chunks; ++i) {
        merge(i / chunks, parts[static_cast<std::size_t>(i)]);
    }
}

}  // namespace longhaul::kernels::cpu
