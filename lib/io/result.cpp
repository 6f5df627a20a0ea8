#include "io/result.hpp"

#include "base/error.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace longhaul::io {
namespace {

/// One JSON object written field by field: result lines can have millions of numbers, so no tree is built.
class ObjectWriter {
  public:
    explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
    void close() { out_ += '}'; }

    void key(char const* name) {
        fmt::format_to(std::back_inserter(out_), "{}\"{}\":", first_ ? "" : ",", name);
        first_ = false;
    }
    void text(char const* name, std::string const& value) {
        key(name);
        out_ +=
            nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    void integer(char const* name, std::int64_t value) {
        key(name);
        fmt::format_to(std::back_inserter(out_), "{}", value);
    }
    template <class Real>
    void real(char const* name, Real value) {
        key(name);
        append_real(out_, value);
    }

    // The shortest digits that read back as the same number.
    template <class Real>
    static void append_real(std::string& out, Real value) {
        if (std::isfinite(value)) {
            fmt::format_to(std::back_inserter(out), "{}", value);
        } else {
            out += "null";
        }
    }

  private:
    std::string& out_;
    bool first_ = true;
};

template <class Values, class Append>
void append_list(std::string& out, Values const& values, Append append) {
    out += '[';
    bool first = true;
    for (auto const& value : values) {
        if (!first) out += ',';
        first = false;
        append(value);
    }
    out += ']';
}

void append_token_logprob(std::string& out, TokenLogprob const& token) {
    ObjectWriter object(out);
    object.integer("id", token.id);
    object.real("logprob", token.logprob);
    object.key("top");
    append_list(out, token.top, [&](auto const& entry) {
        fmt::format_to(std::back_inserter(out), "[{},", entry.first);
        ObjectWriter::append_real(out, entry.second);
        out += ']';
    });
    object.close();
}

void append_timings(ObjectWriter& object, std::string& out, JobResult const& result) {
    if (result.ttft_s) object.real("ttft_s", *result.ttft_s);
    if (!result.tbt_s.empty()) {
        TbtSummary const tbt = summarise_tbt(result.tbt_s);
        object.key("tbt_s");
        ObjectWriter inner(out);
        inner.real("p50", static_cast<float>(tbt.p50));
        inner.real("p99", static_cast<float>(tbt.p99));
        inner.real("max", static_cast<float>(tbt.max));
        inner.close();
    } else if (!result.score) {
        object.key("tbt_s");  // fewer than two tokens: there is no time between them
        out += "null";
    }
    if (result.prefill) {
        object.key("prefill");
        ObjectWriter inner(out);
        inner.text("strategy", result.prefill->strategy);
        inner.integer("chunk", result.prefill->chunk);
        inner.integer("tokens", result.prefill->tokens);
        inner.integer("shared_tokens", result.prefill->shared_tokens);
        inner.real("seconds", result.prefill->seconds);
        inner.real("prepare_s", result.prefill->prepare_s);
        inner.close();
    }
    if (result.grid) {
        object.key("grid");
        ObjectWriter inner(out);
        inner.integer("replicas", result.grid->replicas);
        inner.integer("spp", result.grid->spp);
        inner.integer("kvp", result.grid->kvp);
        inner.integer("tp", result.grid->tp);
        inner.close();
    }
}

void append_generated(ObjectWriter& object, std::string& out, JobResult const& result) {
    object.text("text", result.text);
    object.key("token_ids");
    append_list(out, result.token_ids,
                [&](TokenId id) { fmt::format_to(std::back_inserter(out), "{}", id); });
    object.integer("prompt_tokens", result.prompt_tokens);
    object.integer("completion_tokens", result.completion_tokens);
    if (result.finish_reason) {
        object.text("finish_reason",
                    *result.finish_reason == FinishReason::stop ? "stop" : "length");
    }
    if (result.logprobs) {
        object.key("logprobs");
        append_list(out, *result.logprobs,
                    [&](TokenLogprob const& token) { append_token_logprob(out, token); });
    }
}

void append_score(ObjectWriter& object, std::string& out, JobResult const& result) {
    object.integer("prompt_tokens", result.prompt_tokens);
    object.integer("completion_tokens", result.completion_tokens);
    object.key("logprobs");
    append_list(out, result.score->logprobs,
                [&](float value) { ObjectWriter::append_real(out, value); });
    object.real("mean_nll", result.score->mean_nll);
    object.real("perplexity", result.score->perplexity);
}

}  // namespace

double percentile(std::vector<float> const& samples, double percent) {
    if (samples.empty()) return 0;
    LH_EXPECT(percent >= 0 && percent <= 100);
    std::vector<float> copy = samples;
    auto const count = static_cast<double>(copy.size());
    auto const rank =
        static_cast<std::ptrdiff_t>(std::max(std::ceil(percent / 100 * count), 1.0)) - 1;
    std::nth_element(copy.begin(), copy.begin() + rank, copy.end());
    return copy[static_cast<std::size_t>(rank)];
}

TbtSummary summarise_tbt(std::vector<float> const& samples_s) {
    return {percentile(samples_s, 50), percentile(samples_s, 99), percentile(samples_s, 100)};
}

JobResult failed_result(std::string id, std::string job_hash, JobError error) {
    JobResult result;
    result.id = std::move(id);
    result.job_hash = std::move(job_hash);
    result.error = std::move(error);
    return result;
}

std::string to_json_line(JobResult const& result) {
    std::string out;
    ObjectWriter object(out);
    object.text("id", result.id);
    object.text("status", result.ok() ? "ok" : "error");
    if (result.error) {
        object.key("error");
        ObjectWriter inner(out);
        inner.text("code", result.error->code);
        inner.text("message", result.error->message);
        inner.close();
        if (result.prompt_tokens > 0) object.integer("prompt_tokens", result.prompt_tokens);
    } else if (result.score) {
        append_score(object, out, result);
    } else {
        append_generated(object, out, result);
    }
    if (result.ok()) append_timings(object, out, result);
    object.text("job_hash", result.job_hash);
    object.close();
    return out;
}

}  // namespace longhaul::io
