#include "engine/step_outcome.hpp"

#include "base/bytes.hpp"

namespace longhaul::engine {

std::vector<std::byte> StepOutcome::serialize() const {
    ByteWriter out;
    out.put(step);
    out.put(static_cast<std::int64_t>(samples.size()));
    for (SampleOutcome const& sample : samples) {
        out.put(sample.sequence);
        out.put(sample.index);
        out.put(sample.token);
        out.put(sample.logprob);
        out.put(sample.finite);
        out.put(sample.top);
    }
    out.put(static_cast<std::int64_t>(scores.size()));
    for (ScoreOutcome const& score : scores) {
        out.put(score.sequence);
        out.put(score.first_index);
        out.put(score.finite);
        out.put(score.last);
        out.put(score.logprobs);
    }
    return out.take();
}

StepOutcome StepOutcome::deserialize(std::span<std::byte const> bytes) {
    ByteReader in(bytes);
    StepOutcome outcome;
    in.get(outcome.step);
    outcome.samples.resize(static_cast<std::size_t>(in.get<std::int64_t>()));
    for (SampleOutcome& sample : outcome.samples) {
        in.get(sample.sequence);
        in.get(sample.index);
        in.get(sample.token);
        in.get(sample.logprob);
        in.get(sample.finite);
        in.get(sample.top);
    }
    outcome.scores.resize(static_cast<std::size_t>(in.get<std::int64_t>()));
    for (ScoreOutcome& score : outcome.scores) {
        in.get(score.sequence);
        in.get(score.first_index);
        in.get(score.finite);
        in.get(score.last);
        in.get(score.logprobs);
    }
    return outcome;
}

}  // namespace longhaul::engine
