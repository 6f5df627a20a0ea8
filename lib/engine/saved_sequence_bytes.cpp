#include "engine/saved_sequence_bytes.hpp"

#include "base/bytes.hpp"

#include <span>

namespace longhaul::engine {
namespace {

struct FlatTop {
    TokenId id;
    float logprob;
};

void put_logprobs(ByteWriter& out, std::vector<io::TokenLogprob> const& logprobs) {
    out.put(static_cast<std::int64_t>(logprobs.size()));
    for (io::TokenLogprob const& entry : logprobs) {
        out.put(entry.id);
        out.put(entry.logprob);
        std::vector<FlatTop> top;
        for (auto const& [id, logprob] : entry.top) {
            top.push_back({id, logprob});
        }
        out.put(top);
    }
}

void get_logprobs(ByteReader& in, std::vector<io::TokenLogprob>& logprobs) {
    logprobs.resize(static_cast<std::size_t>(in.get<std::int64_t>()));
    for (io::TokenLogprob& entry : logprobs) {
        in.get(entry.id);
        in.get(entry.logprob);
        std::vector<FlatTop> top;
        in.get(top);
        for (FlatTop const& token : top) {
            entry.top.emplace_back(token.id, token.logprob);
        }
    }
}

}  // namespace

std::string to_bytes(io::SavedSequence const& sequence) {
    ByteWriter out;
    out.put(sequence.job_id);
    out.put(sequence.job_hash);
    out.put(sequence.prompt_tokens);
    out.put(sequence.position);
    out.put(sequence.shared_tokens);
    out.put(sequence.end);
    out.put(sequence.generated);
    put_logprobs(out, sequence.logprobs);
    out.put(sequence.scores);
    out.put(sequence.elapsed_s);
    out.put(sequence.prefill_s);
    out.put(sequence.last_token_s);
    out.put(sequence.tbt_s);
    std::vector<std::byte> const bytes = out.take();
    return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

io::SavedSequence sequence_from_bytes(std::string const& bytes) {
    ByteReader in(std::as_bytes(std::span(bytes.data(), bytes.size())));
    io::SavedSequence sequence;
    in.get(sequence.job_id);
    in.get(sequence.job_hash);
    in.get(sequence.prompt_tokens);
    in.get(sequence.position);
    in.get(sequence.shared_tokens);
    in.get(sequence.end);
    in.get(sequence.generated);
    get_logprobs(in, sequence.logprobs);
    in.get(sequence.scores);
    in.get(sequence.elapsed_s);
    in.get(sequence.prefill_s);
    in.get(sequence.last_token_s);
    in.get(sequence.tbt_s);
    return sequence;
}

}  // namespace longhaul::engine
