#include "engine/output_head.hpp"

#include "base/bytes.hpp"
#include "base/checked.hpp"
#include "kernels/linear.hpp"
#include "kernels/norm.hpp"
#include "kernels/rows.hpp"
#include "engine/step_parts.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <span>
#include <utility>

namespace longhaul::engine {
namespace {

/// Summary in a record of fixed size, so that one all-gather moves those of all rows.
struct PackedSummary {
    double max = 0.0;
    double sum_exp = 0.0;
    double chosen_score = 0.0;
    kernels::ScoredToken chosen;
    float target_logit = 0.0F;
    std::uint8_t finite = 1;
    std::uint8_t has_target = 0;
    std::uint16_t num_top = 0;
};

void pack(kernels::LogitSummary const& summary, std::size_t top_k, std::byte* out) {
    PackedSummary packed;
    packed.max = summary.max;
    packed.sum_exp = summary.sum_exp;
    packed.chosen_score = summary.chosen_score;
    packed.chosen = summary.chosen;
    packed.target_logit = summary.target_logit;
    packed.finite = summary.finite ? 1 : 0;
    packed.has_target = summary.has_target ? 1 : 0;
    packed.num_top = static_cast<std::uint16_t>(std::min(summary.top.size(), top_k));
    std::memcpy(out, &packed, sizeof packed);
    if (packed.num_top > 0) {
        std::memcpy(out + sizeof packed, summary.top.data(),
                    packed.num_top * sizeof(kernels::ScoredToken));
    }
}

kernels::LogitSummary unpack(std::byte const* in) {
    PackedSummary packed;
    std::memcpy(&packed, in, sizeof packed);
    kernels::LogitSummary summary;
    summary.max = packed.max;
    summary.sum_exp = packed.sum_exp;
    summary.chosen_score = packed.chosen_score;
    summary.chosen = packed.chosen;
    summary.target_logit = packed.target_logit;
    summary.finite = packed.finite != 0;
    summary.has_target = packed.has_target != 0;
    summary.top.resize(packed.num_top);
    if (packed.num_top > 0) {
        std::memcpy(summary.top.data(), in + sizeof packed,
                    packed.num_top * sizeof(kernels::ScoredToken));
    }
    return summary;
}

float logprob(kernels::LogitSummary const& summary, float logit) {
    return static_cast<float>(static_cast<double>(logit) - summary.log_sum_exp());
}

}  // namespace

OutputHead::OutputHead(RankContext& context)
    : context_(context), config_(context.weights.config), arena_(context.gpu()) {
    auto const make = [&](std::int64_t width, DType dtype) {
        return device::Buffer(context.gpu(), kLogitRows * width * dtype_bytes(dtype));
    };
    gathered_ = make(config_.hidden_dim, DType::f32);
    normed_ = make(config_.hidden_dim, context.weights.dtype);
    logits_ = make(context.weights.partition.vocab.size(), DType::f32);
}

void OutputHead::add_rows(schedule::PlanItem const& item, std::size_t item_number,
                          schedule::Sequence const& sequence, Range rows,
                          std::vector<Row>& out) const {
    schedule::SequenceSpec const& spec = sequence.spec;
    if (item.sample) {
        kernels::LogitQuery query;
        query.sample = true;
        query.top_k = spec.top_logprobs;
        query.temperature = static_cast<float>(spec.temperature);
        query.noise_seed = spec.seed;
        query.noise_key = spec.noise_key;
        query.noise_index = item.end;
        out.push_back({rows.end - 1, item_number, query});
    }
    if (item.score) {
        for (std::int64_t index = item.begin; index < item.end; ++index) {
            kernels::LogitQuery query;
            // The last prompt token has no successor to score. It is looked at all the same: if it is not finite, neither
            // is what it left in the KV cache, and only a failed sequence's blocks are scrubbed.
            bool const last = index + 1 == sequence.prompt_length();
            query.target = last ? -1 : sequence.token_at(index + 1);
            out.push_back({rows.begin + (index - item.begin), item_number, query});
        }
    }
}

StepOutcome OutputHead::run(schedule::StepPlan const& plan,
                            schedule::ChunkScheduler const& scheduler, StepBatch const& batch,
                            float const* hidden) {
    std::vector<Row> rows;
    for (std::size_t i = 0; i < plan.items.size(); ++i) {
        add_rows(plan.items[i], i, scheduler.sequence(plan.items[i].sequence), batch.item_rows[i],
                 rows);
    }
    std::vector<kernels::LogitSummary> summaries(rows.size());
    summarize(hidden, rows, summaries);
    merge_over_stage(rows, summaries);

    StepOutcome outcome;
    outcome.step = plan.step;
    for (schedule::PlanItem const& item : plan.items) {
        if (item.score) {
            bool const last = item.end == scheduler.sequence(item.sequence).prompt_length();
            outcome.scores.push_back({item.sequence, item.begin + 1, true, last, {}});
        }
    }
    for (std::size_t r = 0; r < rows.size(); ++r) {
        schedule::PlanItem const& item = plan.items[rows[r].item];
        kernels::LogitSummary& summary = summaries[r];
        if (rows[r].query.sample) {
            SampleOutcome sample{item.sequence,     item.end,
                                 summary.chosen.id, logprob(summary, summary.chosen.logit),
                                 summary.finite,    std::move(summary.top)};
            for (kernels::ScoredToken& token : sample.top) {
                token.logit = logprob(summary, token.logit);
            }
            outcome.samples.push_back(std::move(sample));
            continue;
        }
        auto const score =
            std::find_if(outcome.scores.begin(), outcome.scores.end(),
                         [&](ScoreOutcome const& s) { return s.sequence == item.sequence; });
        bool const has_target = rows[r].query.target >= 0;
        score->finite = score->finite && summary.finite && summary.has_target == has_target;
        if (has_target) {
            score->logprobs.push_back(logprob(summary, summary.target_logit));
        }
    }
    return outcome;
}

// Tiles hold rows of one sequence when company must not change bits: the LM head's bits may depend on the row count.
void OutputHead::summarize(float const* hidden, std::vector<Row> const& rows,
                           std::vector<kernels::LogitSummary>& summaries) {
    if (rows.empty()) {
        return;
    }
    std::vector<std::int32_t> list;
    list.reserve(rows.size());
    for (Row const& row : rows) {
        list.push_back(checked_cast<std::int32_t>(row.row));
    }
    std::span<std::int32_t const> numbers(list);
    arena_.begin(device::StepArena::room_for(static_cast<std::int64_t>(numbers.size_bytes())));
    numbers = {arena_.put(numbers), numbers.size()};
    arena_.end();
    std::size_t begin = 0;
    while (begin < rows.size()) {
        std::size_t end = begin + 1;
        while (end < rows.size() && static_cast<std::int64_t>(end - begin) < kLogitRows &&
               (!context_.deterministic || rows[end].item == rows[begin].item)) {
            ++end;
        }
        summarize_tile(hidden, std::span(rows).subspan(begin, end - begin),
                       numbers.subspan(begin, end - begin), summaries.data() + begin);
        begin = end;
    }
}

void OutputHead::summarize_tile(float const* hidden, std::span<Row const> rows,
                                std::span<std::int32_t const> numbers,
                                kernels::LogitSummary* summaries) {
    std::int64_t const dim = config_.hidden_dim;
    std::vector<kernels::LogitQuery> queries;
    queries.reserve(rows.size());
    for (Row const& row : rows) {
        queries.push_back(row.query);
    }
    kernels::CopyRowsArgs gather;
    gather.from = hidden;
    gather.from_stride = dim;
    gather.from_rows = numbers;
    gather.to = gathered_.as<float>();
    gather.to_stride = dim;
    gather.num_rows = std::ssize(numbers);
    gather.width = dim;
    kernels::copy_rows(context_.exec, gather);
    kernels::ResidualNormArgs norm;
    norm.x = gathered_.as<float>();
    norm.weight = context_.weights.output_norm.as<float>();
    norm.epsilon = config_.rms_epsilon;
    norm.num_rows = gather.num_rows;
    norm.dim = dim;
    norm.out = normed_.data();
    norm.out_dtype = context_.weights.dtype;
    timed(context_, StepPart::head, [&] {
        kernels::residual_rms_norm(context_.exec, norm);
        kernels::linear(context_.exec, normed_.data(), norm.num_rows, context_.weights.lm_head,
                        logits_.as<float>());
    });
    kernels::summarize_logits(context_.exec, logits_.as<float>(), context_.weights.partition.vocab,
                              queries, std::span(summaries, rows.size()));
}

void OutputHead::merge_over_stage(std::vector<Row> const& rows,
                                  std::vector<kernels::LogitSummary>& summaries) {
    comm::Communicator& stage = context_.grid.linear();
    if (stage.size() == 1 || rows.empty()) {
        return;
    }
    std::size_t top_k = 0;
    for (Row const& row : rows) {
        top_k = std::max(top_k, static_cast<std::size_t>(row.query.top_k));
    }
    std::size_t const record = sizeof(PackedSummary) + top_k * sizeof(kernels::ScoredToken);
    std::vector<std::byte> mine(rows.size() * record);
    std::vector<std::byte> all(mine.size() * static_cast<std::size_t>(stage.size()));
    for (std::size_t r = 0; r < rows.size(); ++r) {
        pack(summaries[r], top_k, mine.data() + r * record);
    }
    timed(context_, StepPart::messages, [&] { stage.all_gather(mine, all); });
    for (std::size_t r = 0; r < rows.size(); ++r) {
        summaries[r] = unpack(all.data() + r * record);
        for (std::size_t rank = 1; rank < static_cast<std::size_t>(stage.size()); ++rank) {
            kernels::merge_summaries(
                summaries[r], unpack(all.data() + rank * mine.size() + r * record), rows[r].query);
        }
    }
}

}  // namespace longhaul::engine
