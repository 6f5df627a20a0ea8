#include "engine/job_preparer.hpp"

#include <algorithm>
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

#include <xxhash.h>

namespace longhaul::engine {

namespace {

schedule::BlockKey hash_onto(schedule::BlockKey const& previous, void const* data,
                             std::size_t size) {
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, &previous, sizeof previous);
    XXH3_128bits_update(&state, data, size);
    XXH128_hash_t const hash = XXH3_128bits_digest(&state);
    return {hash.low64, hash.high64};
}

}  // namespace

std::vector<schedule::BlockKey> prefix_keys(std::span<TokenId const> tokens,
                                            std::int64_t block_slots, std::int64_t unit_blocks) {
    auto const count = static_cast<std::int64_t>(tokens.size());
    LH_EXPECT(count % block_slots == 0);
    std::vector<schedule::BlockKey> keys;
    schedule::BlockKey unit;
    for (std::int64_t begin = 0; begin < count; begin += unit_blocks * block_slots) {
        std::int64_t const end = std::min(count, begin + unit_blocks * block_slots);
        unit = hash_onto(unit, tokens.data() + begin,
                         static_cast<std::size_t>(end - begin) * sizeof(TokenId));
        for (std::int64_t block = begin / block_slots; block < end / block_slots; ++block) {
            keys.push_back(hash_onto(unit, &block, sizeof block));
        }
    }
    return keys;
}

JobPreparer::JobPreparer(TextModel const& text, Options options)
    : text_(text), options_(std::move(options)), empty_pool_(options_.kv) {}

PreparedJob JobPreparer::prepare(LinkJob const& link) {
    PreparedJob prepared;
    prepared.job = io::deserialize_job(link.job);
    std::variant<std::string, io::JobError> document = io::load_document(prepared.job);
    auto* const error = std::get_if<io::JobError>(&document);
    prepared.job_hash = io::job_hash(
        prepared.job, error != nullptr ? std::string() : std::get<std::string>(document));

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
    if (error != nullptr) {
        prepared.verdict = PreparedJob::Verdict::error;
        prepared.error = *error;
        return prepared;
    }
    prepare_prompt(std::get<std::string>(document), prepared);
    return prepared;
}

void JobPreparer::prepare_prompt(std::string const& document, PreparedJob& prepared) {
    auto const refuse = [&prepared](std::string code, std::string message) {
        prepared.verdict = PreparedJob::Verdict::error;
        prepared.error = io::JobError{std::move(code), std::move(message)};
    };
    Prompt prompt;
    try {
        prompt = make_prompt(prepared.job, document);
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
    if (outside != prompt.tokens.end()) {
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

JobPreparer::Prompt JobPreparer::make_prompt(io::Job const& job,
                                             std::string const& document) const {
    if (job.token_ids) {
        return {*job.token_ids, static_cast<std::int64_t>(job.token_ids->size())};
    }
    // Teacher-forced scoring is about the text itself: no template around it.
    bool const raw = job.kind == io::JobKind::score || !text_.chat_template;
    return raw ? encode_raw(job, document) : encode_chat(job, document);
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
    spec.prefix_keys = prefix_keys(std::span(spec.prompt).first(static_cast<std::size_t>(spec.cut)),
                                   block, std::lcm(options_.chunk, block) / block);
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
