#include "schedule/step_inputs.hpp"

#include "base/bytes.hpp"

namespace longhaul::schedule {
namespace {

enum class Section : std::int32_t { tokens = 1, ended = 2, admissions = 3 };

void put_spec(ByteWriter& out, SequenceSpec const& spec) {
    out.put(spec.id);
    out.put(spec.prompt);
    out.put(spec.cut);
    out.put(spec.max_new_tokens);
    out.put(spec.score);
    out.put(spec.prefix_keys);
    out.put(spec.placement_hash);
    out.put(spec.temperature);
    out.put(spec.seed);
    out.put(spec.noise_key);
    out.put(spec.top_logprobs);
}

SequenceSpec get_spec(ByteReader& in) {
    SequenceSpec spec;
    in.get(spec.id);
    in.get(spec.prompt);
    in.get(spec.cut);
    in.get(spec.max_new_tokens);
    in.get(spec.score);
    in.get(spec.prefix_keys);
    in.get(spec.placement_hash);
    in.get(spec.temperature);
    in.get(spec.seed);
    in.get(spec.noise_key);
    in.get(spec.top_logprobs);
    return spec;
}

}  // namespace

std::vector<std::byte> StepInputs::serialize() const {
    ByteWriter out;
    out.put(step);
    out.put(leader_time_s);
    out.put(end);
    if (!tokens.empty()) {
        out.put(Section::tokens);
        out.put(tokens);
    }
    if (!ended.empty()) {
        out.put(Section::ended);
        out.put(ended);
    }
    for (SequenceSpec const& spec : admissions) {
        out.put(Section::admissions);
        put_spec(out, spec);
    }
    return out.take();
}

StepInputs StepInputs::deserialize(std::span<std::byte const> bytes) {
    ByteReader in(bytes);
    StepInputs inputs;
    in.get(inputs.step);
    in.get(inputs.leader_time_s);
    in.get(inputs.end);
    while (!in.at_end()) {
        switch (in.get<Section>()) {
            case Section::tokens:
                in.get(inputs.tokens);
                break;
            case Section::ended:
                in.get(inputs.ended);
                break;
            case Section::admissions:
                inputs.admissions.push_back(get_spec(in));
                break;
        }
    }
    return inputs;
}

}  // namespace longhaul::schedule
