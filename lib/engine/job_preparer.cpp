#include "engine/job_preparer.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <variant>

#define XXH_INLINE_ALL
#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "io/document.hpp"
#include "io/job_hash.hpp"
#include "io/output_dir.hpp"
#include "schedule/block_keys.hpp"
#include "engine/saved_sequence_bytes.hpp"
#include "engine/video_prompt.hpp"

#include <xxhash.h>

namespace longhaul::engine {
namespace {

// Whether a job can stand where it was saved: in an impossible state it would wait for a token for ever.
bool fits(io::SavedSequence const& saved, io::SamplingOptions const& sampling,
          std::int64_t vocab_size, schedule::SequenceSpec const& spec) {
    auto const prompt = static_cast<std::int64_t>(spec.prompt.size());
    auto const generated = static_cast<std::int64_t>(saved.generated.size());
    auto const scores = static_cast<std::int64_t>(saved.scores.size());
    bool const ended = saved.end != io::SavedEnd::none;
    if (saved.prompt_tokens != prompt || saved.shared_tokens > prompt ||
        std::any_of(saved.generated.begin(), saved.generated.end(),
                    [&](TokenId token) { return token < 0 || token >= vocab_size; })) {
        return false;
    }
    if (spec.score) {
        std::int64_t const known = ended ? prompt - 1 : std::min(saved.position, prompt - 1);
        return generated == 0 && saved.position <= prompt && scores == known &&
               (!ended || saved.end == io::SavedEnd::scored);
    }
    if (scores != 0 || saved.end == io::SavedEnd::scored || generated > spec.max_new_tokens ||
        saved.logprobs.size() != (sampling.logprobs ? saved.generated.size() : 0) ||
        static_cast<std::int64_t>(saved.tbt_s.size()) != std::max<std::int64_t>(0, generated - 1)) {
        return false;
    }
    if (ended) {
        return generated > 0 &&
               (saved.end == io::SavedEnd::stop || generated == spec.max_new_tokens);
    }
    return generated == std::max<std::int64_t>(0, saved.position - prompt + 1) &&
           generated < spec.max_new_tokens;
}

}  // namespace

namespace {

std::int64_t pool_slots(schedule::KvLedger const& pool) {
    std::int64_t blocks = 0;
    for (std::int64_t coordinate = 0; coordinate < pool.kvp(); ++coordinate) {
        blocks += pool.num_free(coordinate);
    }
    return blocks * pool.block_slots();
}

}  // namespace

JobPreparer::JobPreparer(TextModel const& text, Options options)
    : text_(text),
      options_(std::move(options)),
      empty_pool_(options_.kv),
      video_({options_.hidden_dim, options_.model_name, pool_slots(empty_pool_)}) {}

JobPreparer::Source JobPreparer::load(io::Job const& job) {
    Source source;
    if (job.kind == io::JobKind::video_tokens) {
        try {
            source.video = video_.look_up(*job.path);
        } catch (io::VideoTokensError const& error) {
            source.error = error.error;
        }
        return source;
    }
    std::variant<std::string, io::JobError> document = io::load_document(job);
    if (auto* const error = std::get_if<io::JobError>(&document)) {
        source.error = std::move(*error);
    } else {
        source.text = std::move(std::get<std::string>(document));
    }
    return source;
}

PreparedJob JobPreparer::prepare(LinkJob const& link) {
    PreparedJob prepared;
    prepared.job = io::deserialize_job(link.job);
    Source const source = load(prepared.job);
    std::string const rows = source.video ? source.video->hash.hex() : std::string();
    prepared.job_hash = io::job_hash(
        prepared.job, source.video ? std::string_view(rows) : std::string_view(source.text));

    std::optional<io::KnownResult> known;
    if (link.known) {
        known = io::KnownResult{link.known_hash, link.known_ok};
    }
    switch (io::decide(known, prepared.job_hash, options_.retry_errors)) {
        case io::Decision::skip_done:
            prepared.verdict = PreparedJob::Verdict::skip_done;
            return prepared;
        case io::Decision::skip_failed:
            prepared.verdict = PreparedJob::Verdict::skip_failed;
            return prepared;
        case io::Decision::run:
            break;
    }
    if (source.error) {
        prepared.verdict = PreparedJob::Verdict::error;
        prepared.error = source.error;
        return prepared;
    }
    prepare_prompt(source, prepared);
    if (prepared.verdict == PreparedJob::Verdict::run) {
        take_up_saved(link.saved, prepared);
    }
    return prepared;
}

// What an earlier run left of this very job, or of another one on the same document.
void JobPreparer::take_up_saved(std::string const& saved, PreparedJob& prepared) const {
    schedule::SequenceSpec& spec = prepared.spec;
    if (!saved.empty()) {
        io::SavedSequence sequence = sequence_from_bytes(saved);
        // The same hash means the same job and document; the rest guards against another tokenizer and faulty states.
        if (sequence.job_hash == prepared.job_hash &&
            fits(sequence, prepared.job.sampling, options_.vocab_size, spec)) {
            spec.load_entries = sequence.position;
            spec.resumed = sequence.generated;
            prepared.saved = std::move(sequence);
            return;
        }
        log::warn("job {} has changed since it was saved, or was not saved well: it begins anew",
                  prepared.job.id);
    }
    // A score needs the logits of every entry, not only their KV.
    spec.load_entries = spec.score ? 0 : saved_prefix(spec);
}

std::int64_t JobPreparer::saved_prefix(schedule::SequenceSpec const& spec) const {
    if (options_.segments == nullptr) {
        return 0;
    }
    std::int64_t const block = options_.kv.block_slots;
    std::vector<BlockKey> const keys =
        schedule::block_keys(spec.prompt, spec.cut / block, block, spec.embeddings);
    auto const missing = std::find_if(keys.begin(), keys.end(), [this](BlockKey const& key) {
        return !options_.segments->contains(key);
    });
    std::int64_t const found = (missing - keys.begin()) * block;
    // Computing goes on where a chunk would begin anyway.
    return found == spec.cut ? found : round_down(found, std::lcm(options_.chunk, block));
}

void JobPreparer::prepare_prompt(Source const& source, PreparedJob& prepared) {
    auto const refuse = [&prepared](std::string code, std::string message) {
        prepared.verdict = PreparedJob::Verdict::error;
        prepared.error = io::JobError{std::move(code), std::move(message)};
    };
    Prompt prompt;
    try {
        prompt = make_prompt(prepared.job, source);
    } catch (ValidationError const& failure) {
        refuse("bad_field", failure.what());
        return;
    }
    auto const count = static_cast<std::int64_t>(prompt.tokens.size());
    if (count == 0) {
        refuse("empty", "the prompt has no tokens; give the job a document or a prompt");
        return;
    }
    auto const outside =
        std::find_if(prompt.tokens.begin(), prompt.tokens.end(),
                     [this](TokenId token) { return token < 0 || token >= options_.vocab_size; });
    if (prompt.embeddings.empty() && outside != prompt.tokens.end()) {
        refuse("bad_field",
               fmt::format("token_ids holds {}, but the model's vocabulary has {} tokens (0 to {})",
                           *outside, options_.vocab_size, options_.vocab_size - 1));
        return;
    }
    fill_spec(prepared.job, std::move(prompt), prepared.spec);
    if (!empty_pool_.can_ever_fit(prepared.spec.num_slots(), prepared.spec.placement_hash)) {
        refuse("too_long",
               fmt::format(
                   "the job needs {} tokens of KV cache ({} of prompt and {} of max_tokens), more "
                   "than this run holds; shorten the document or max_tokens, or use more ranks for "
                   "--kvp, --spp or --tp or raise --kv-memory, and add --retry-errors",
                   prepared.spec.num_slots(), count, prepared.spec.max_new_tokens));
        return;
    }
    warn_if_beyond_training(prepared.job, prepared.spec.num_slots());
}

JobPreparer::Prompt JobPreparer::make_prompt(io::Job const& job, Source const& source) const {
    if (source.video) {
        return encode_video(job, *source.video);
    }
    if (job.token_ids) {
        return {*job.token_ids, static_cast<std::int64_t>(job.token_ids->size())};
    }
    // Teacher-forced scoring is about the text itself: no template around it.
    bool const raw = job.kind == io::JobKind::score || !text_.chat_template;
    return raw ? encode_raw(job, source.text) : encode_chat(job, source.text);
}

// Jobs share everything up to the end of the video, provided they say the same in front of it.
JobPreparer::Prompt JobPreparer::encode_video(io::Job const& job, VideoTokens const& video) const {
    VideoSides sides = encode_around_video(text_, job);
    schedule::EmbeddingSpan span;
    span.begin = static_cast<std::int64_t>(sides.before.size());
    span.num_rows = video.num_rows;
    span.file = job.path->string();
    span.file_bytes = video.stamp.bytes;
    span.file_modified_ns = video.stamp.modified_ns;
    span.hash_low = video.hash.low;
    span.hash_high = video.hash.high;
    Prompt prompt{std::move(sides.before), span.range().end};
    prompt.tokens.resize(static_cast<std::size_t>(span.range().end), schedule::kEmbeddingEntry);
    prompt.tokens.insert(prompt.tokens.end(), sides.after.begin(), sides.after.end());
    prompt.embeddings.push_back(std::move(span));
    return prompt;
}

JobPreparer::Prompt JobPreparer::encode_raw(io::Job const& job, std::string const& document) const {
    std::string text = job.system ? *job.system + "\n\n" : std::string();
    text += document;
    auto const document_end = static_cast<std::int64_t>(text.size());
    if (job.prompt) {
        text += "\n\n" + *job.prompt;
    }
    text::Encoding encoding = text_.tokenizer.encode(text, text::SpecialTokens::plain_text);
    Prompt prompt{std::move(encoding.ids), 0};
    prompt.document_tokens = text::tokens_before(encoding, document_end);
    if (text_.tokenizer.add_bos() && text_.tokenizer.bos_token()) {
        prompt.tokens.insert(prompt.tokens.begin(), *text_.tokenizer.bos_token());
        ++prompt.document_tokens;
    }
    return prompt;
}

JobPreparer::Prompt JobPreparer::encode_chat(io::Job const& job,
                                             std::string const& document) const {
    std::vector<text::ChatMessage> messages;
    if (job.system) {
        messages.push_back({"system", *job.system});
    }
    std::string const content = job.prompt ? document + "\n\n" + *job.prompt : document;
    messages.push_back({"user", content});
    std::vector<text::TextPiece> const pieces = text_.chat_template->render_pieces(messages, true);
    text::Encoding encoding = text::encode_chat(text_.tokenizer, pieces);
    Prompt prompt;
    std::optional<std::int64_t> const end =
        text::rendered_offset(pieces, static_cast<std::int64_t>(messages.size()) - 1,
                              static_cast<std::int64_t>(document.size()));
    if (end) {
        prompt.document_tokens = text::tokens_before(encoding, *end);
    }
    prompt.tokens = std::move(encoding.ids);
    return prompt;
}

void JobPreparer::fill_spec(io::Job const& job, Prompt prompt, schedule::SequenceSpec& spec) const {
    std::int64_t const block = options_.kv.block_slots;
    auto const count = static_cast<std::int64_t>(prompt.tokens.size());
    // The last token is always computed by the job itself: its logits are wanted.
    spec.cut = round_down(std::min(prompt.document_tokens, count - 1), block);
    spec.prompt = std::move(prompt.tokens);
    spec.embeddings = std::move(prompt.embeddings);
    spec.prefix_keys =
        schedule::prefix_keys(std::span(spec.prompt).first(static_cast<std::size_t>(spec.cut)),
                              block, std::lcm(options_.chunk, block) / block, spec.embeddings);
    spec.score = job.kind == io::JobKind::score;
    spec.max_new_tokens = spec.score ? 0 : job.sampling.max_tokens;
    spec.noise_key = XXH3_64bits(job.id.data(), job.id.size());
    // Jobs on one document must meet on one coordinate to share it.
    spec.placement_hash = spec.prefix_keys.empty() ? spec.noise_key : spec.prefix_keys.back().low;
    spec.temperature = job.sampling.temperature;
    spec.seed = job.sampling.seed;
    spec.top_logprobs = job.sampling.logprobs.value_or(0);
}

void JobPreparer::warn_if_beyond_training(io::Job const& job, std::int64_t tokens) {
    if (warned_ || options_.trained_context <= 0 || tokens <= options_.trained_context) {
        return;
    }
    warned_ = true;
    log::warn(
        "job {} needs {} tokens, the model was trained for {}: its answers beyond that length may "
        "be poor (said once)",
        job.id, tokens, options_.trained_context);
}

}  // namespace longhaul::engine
