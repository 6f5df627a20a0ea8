#include "io/job_bytes.hpp"
#include "io/result.hpp"

namespace longhaul::io {
namespace {

void put_error(ByteWriter& out, std::optional<JobError> const& error) {
    out.put(static_cast<std::uint8_t>(error.has_value()));
    if (!error) return;
    out.put(error->code);
    out.put(error->message);
}

void get_error(ByteReader& in, std::optional<JobError>& error) {
    bool present = false;
    in.get(present);
    if (!present) return;
    in.get(error.emplace().code);
    in.get(error->message);
}

void put_prefill(ByteWriter& out, std::optional<PrefillInfo> const& prefill) {
    out.put(static_cast<std::uint8_t>(prefill.has_value()));
    if (!prefill) return;
    out.put(prefill->strategy);
    out.put(prefill->chunk);
    out.put(prefill->tokens);
    out.put(prefill->shared_tokens);
    out.put(prefill->seconds);
    out.put(prefill->prepare_s);
}

void get_prefill(ByteReader& in, std::optional<PrefillInfo>& prefill) {
    bool present = false;
    in.get(present);
    if (!present) return;
    in.get(prefill.emplace().strategy);
    in.get(prefill->chunk);
    in.get(prefill->tokens);
    in.get(prefill->shared_tokens);
    in.get(prefill->seconds);
    in.get(prefill->prepare_s);
}

struct TopEntry {
    TokenId id;
    float logprob;
};

void put_logprobs(ByteWriter& out, std::optional<std::vector<TokenLogprob>> const& logprobs) {
    out.put(static_cast<std::uint8_t>(logprobs.has_value()));
    if (!logprobs) return;
    out.put(static_cast<std::uint64_t>(logprobs->size()));
    for (TokenLogprob const& token : *logprobs) {
        std::vector<TopEntry> top;
        for (auto const& [id, logprob] : token.top) top.push_back({id, logprob});
        out.put(token.id);
        out.put(token.logprob);
        out.put(top);
    }
}

void get_logprobs(ByteReader& in, std::optional<std::vector<TokenLogprob>>& logprobs) {
    bool present = false;
    in.get(present);
    if (!present) return;
    std::uint64_t count = 0;
    in.get(count);
    logprobs.emplace();
    // Grows entry by entry: a wrong count runs into the end of the bytes before it takes memory.
    for (std::uint64_t i = 0; i < count; ++i) {
        TokenLogprob& token = logprobs->emplace_back();
        std::vector<TopEntry> top;
        in.get(token.id);
        in.get(token.logprob);
        in.get(top);
        for (TopEntry const& entry : top) token.top.emplace_back(entry.id, entry.logprob);
    }
}

}  // namespace

std::string serialize_result(JobResult const& result) {
    ByteWriter out;
    out.put(result.id);
    out.put(result.job_hash);
    put_error(out, result.error);
    out.put(result.text);
    out.put(result.token_ids);
    out.put(result.prompt_tokens);
    out.put(result.completion_tokens);
    out.put(result.finish_reason);
    out.put(result.ttft_s);
    out.put(result.tbt_s);
    put_prefill(out, result.prefill);
    out.put(result.grid);
    put_logprobs(out, result.logprobs);
    out.put(result.score ? std::optional(result.score->logprobs) : std::nullopt);
    out.put(result.score ? result.score->mean_nll : 0.0);
    out.put(result.score ? result.score->perplexity : 0.0);
    return out.take();
}

JobResult deserialize_result(std::string_view bytes) {
    JobResult result;
    ByteReader in(bytes);
    in.get(result.id);
    in.get(result.job_hash);
    get_error(in, result.error);
    in.get(result.text);
    in.get(result.token_ids);
    in.get(result.prompt_tokens);
    in.get(result.completion_tokens);
    in.get(result.finish_reason);
    in.get(result.ttft_s);
    in.get(result.tbt_s);
    get_prefill(in, result.prefill);
    in.get(result.grid);
    get_logprobs(in, result.logprobs);
    std::optional<std::vector<float>> score;
    ScoreResult numbers;
    in.get(score);
    in.get(numbers.mean_nll);
    in.get(numbers.perplexity);
    in.finish();
    if (score) {
        numbers.logprobs = *std::move(score);
        result.score = std::move(numbers);
    }
    return result;
}

}  // namespace longhaul::io
