#include "schedule/step_inputs.hpp"

#include "base/bytes.hpp"

namespace longhaul::schedule {
namespace {

enum class Section : std::int32_t { tokens = 1, ended = 2, admissions = 3, loaded = 4 };

void put_span(ByteWriter& out, EmbeddingSpan const& span) {
    out.put(span.begin);
    out.put(span.num_rows);
    out.put(span.file);
    out.put(span.first_row);
    out.put(span.file_bytes);
    out.put(span.file_modified_ns);
    out.put(span.hash_low);
    out.put(span.hash_high);
}

EmbeddingSpan get_span(ByteReader& in) {
    EmbeddingSpan span;
    in.get(span.begin);
    in.get(span.num_rows);
    in.get(span.file);
    in.get(span.first_row);
    in.get(span.file_bytes);
    in.get(span.file_modified_ns);
    in.get(span.hash_low);
    in.get(span.hash_high);
    return span;
}

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
    out.put(spec.load_entries);
    out.put(spec.resumed);
    out.put(static_cast<std::int64_t>(spec.embeddings.size()));
    for (EmbeddingSpan const& span : spec.embeddings) {
        put_span(out, span);
    }
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
    in.get(spec.load_entries);
    in.get(spec.resumed);
    for (auto spans = in.get<std::int64_t>(); spans > 0; --spans) {
        spec.embeddings.push_back(get_span(in));
    }
    return spec;
}

}  // namespace

std::vector<std::byte> StepInputs::serialize() const {
    ByteWriter out;
    out.put(step);
    out.put(leader_time_s);
    out.put(end);
    out.put(epoch);
    out.put(stop);
    if (!tokens.empty()) {
        out.put(Section::tokens);
        out.put(tokens);
    }
    if (!ended.empty()) {
        out.put(Section::ended);
        out.put(ended);
    }
    if (!loaded.empty()) {
        out.put(Section::loaded);
        out.put(loaded);
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
    in.get(inputs.epoch);
    in.get(inputs.stop);
    while (!in.at_end()) {
        switch (in.get<Section>()) {
            case Section::tokens:
                in.get(inputs.tokens);
                break;
            case Section::ended:
                in.get(inputs.ended);
                break;
            case Section::loaded:
                in.get(inputs.loaded);
                break;
            case Section::admissions:
                inputs.admissions.push_back(get_spec(in));
                break;
        }
    }
    return inputs;
}

}  // namespace longhaul::schedule
