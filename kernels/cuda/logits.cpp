#include "device/buffer.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/logits_device.hpp"
#include "kernels/logits_backends.hpp"

#include <algorithm>
#include <vector>

namespace longhaul::kernels::cuda {
namespace {

/// Places of arrays in the scratch memory.
class Layout {
  public:
    template <class T>
    [[nodiscard]] std::int64_t place(std::int64_t count) {
        std::int64_t const begin = bytes_;
        bytes_ += round_up(count * static_cast<std::int64_t>(sizeof(T)), 256);
        return begin;
    }
    [[nodiscard]] std::int64_t bytes() const { return bytes_; }

  private:
    std::int64_t bytes_ = 0;
};

std::vector<TopQuery> top_queries(Range vocab, std::span<LogitQuery const> queries) {
    std::vector<TopQuery> wanted;
    for (std::size_t row = 0; row < queries.size(); ++row) {
        std::int64_t const count = std::min<std::int64_t>(queries[row].top_k, vocab.size());
        if (count > 0 && count <= kMaxTop) {
            wanted.push_back({static_cast<std::int64_t>(row), static_cast<int>(count)});
        }
    }
    return wanted;
}

/// More than the kernel's memory holds: by the host.
std::vector<ScoredToken> long_top(ExecContext const& exec, LogitRows const& rows, std::int64_t row,
                                  std::int32_t top_k) {
    std::vector<float> logits(static_cast<std::size_t>(rows.vocab.size()));
    device::download(exec.gpu, logits.data(), rows.row(row),
                     rows.vocab.size() * dtype_bytes(DType::f32));
    LogitSummary summary;
    LogitQuery query;
    query.top_k = top_k;
    reference::summarize_row(logits.data(), rows.vocab, query, summary);
    return std::move(summary.top);
}

LogitSummary to_summary(RowResult const& result, Range vocab, LogitQuery const& query) {
    LogitSummary summary;
    summary.finite = result.whole.finite;
    if (!summary.finite) {
        return summary;
    }
    summary.max = result.whole.max;
    summary.sum_exp = result.whole.sum_exp;
    summary.has_target = vocab.contains(query.target);
    summary.target_logit = result.target_logit;
    if (query.sample) {
        summary.chosen = {result.whole.chosen.id, result.chosen_logit};
        // Formed again with the host's logarithm: the score is the same bits on every backend.
        summary.chosen_score = query.temperature == 0.0F
                                   ? static_cast<double>(summary.chosen.logit)
                                   : static_cast<double>(summary.chosen.logit) / query.temperature +
                                         gumbel_noise(query, summary.chosen.id);
    }
    return summary;
}

struct Scratch {
    Choice* choices;
    Part* parts;
    RowResult* results;
    TopQuery* top_queries;
    ScoredToken* top;

    Scratch(ExecContext const& exec, std::int64_t rows, std::int64_t chunks, std::int64_t tops) {
        Layout layout;
        std::int64_t const places[] = {layout.place<Choice>(rows),
                                       layout.place<Part>(rows * chunks),
                                       layout.place<RowResult>(rows), layout.place<TopQuery>(tops),
                                       layout.place<ScoredToken>(tops * kMaxTop)};
        auto* const base = static_cast<std::byte*>(exec.gpu->scratch(layout.bytes()));
        choices = reinterpret_cast<Choice*>(base + places[0]);
        parts = reinterpret_cast<Part*>(base + places[1]);
        results = reinterpret_cast<RowResult*>(base + places[2]);
        top_queries = reinterpret_cast<TopQuery*>(base + places[3]);
        top = reinterpret_cast<ScoredToken*>(base + places[4]);
    }
};

template <class T>
void upload(ExecContext const& exec, T* to, std::vector<T> const& from) {
    device::upload(exec.gpu, to, from.data(), static_cast<std::int64_t>(from.size() * sizeof(T)));
}
template <class T>
void download(ExecContext const& exec, std::vector<T>& to, T const* from) {
    device::download(exec.gpu, to.data(), from, static_cast<std::int64_t>(to.size() * sizeof(T)));
}

}  // namespace

void summarize_logits(ExecContext const& exec, float const* logits, Range vocab,
                      std::span<LogitQuery const> queries, std::span<LogitSummary> summaries) {
    LogitRows const rows{logits, vocab, static_cast<std::int64_t>(queries.size())};
    if (rows.num_rows == 0) {
        return;
    }
    std::vector<Choice> choices;
    choices.reserve(queries.size());
    for (LogitQuery const& query : queries) {
        choices.push_back({GumbelNoise(query), query.temperature, query.target, query.sample});
    }
    std::vector<TopQuery> const tops = top_queries(vocab, queries);
    auto const num_tops = static_cast<std::int64_t>(tops.size());
    std::int64_t const chunks = ceil_div(vocab.size(), kLogitChunk);
    Scratch const scratch(exec, rows.num_rows, chunks, num_tops);
    upload(exec, scratch.choices, choices);
    auto* const stream = static_cast<cudaStream_t>(exec.gpu->stream().native);
    summarize_rows(rows, scratch.choices, scratch.parts, scratch.results, stream);
    std::vector<ScoredToken> top(tops.size() * kMaxTop);
    if (num_tops > 0) {
        upload(exec, scratch.top_queries, tops);
        find_top(rows, scratch.top_queries, num_tops, scratch.top, stream);
        download(exec, top, scratch.top);
    }
    std::vector<RowResult> results(queries.size());
    download(exec, results, scratch.results);
    for (std::size_t row = 0; row < queries.size(); ++row) {
        summaries[row] = to_summary(results[row], vocab, queries[row]);
    }
    for (std::size_t i = 0; i < tops.size(); ++i) {
        LogitSummary& summary = summaries[static_cast<std::size_t>(tops[i].row)];
        auto const begin = top.begin() + static_cast<std::ptrdiff_t>(i) * kMaxTop;
        if (summary.finite) {
            summary.top.assign(begin, begin + tops[i].count);
        }
    }
    for (std::size_t row = 0; row < queries.size(); ++row) {
        bool const is_long = std::min<std::int64_t>(queries[row].top_k, vocab.size()) > kMaxTop;
        if (is_long && summaries[row].finite) {
            summaries[row].top =
                long_top(exec, rows, static_cast<std::int64_t>(row), queries[row].top_k);
        }
    }
}

}  // namespace longhaul::kernels::cuda
