#include "base/error.hpp"
#include "io/base64.hpp"
#include "io/manifest.hpp"
#include "io/manifest_format.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

namespace longhaul::io {
namespace {

namespace dom = simdjson::dom;

static_assert(std::endian::native == std::endian::little,
              "the arrays of a manifest are little endian");

/// Reads the fields of one object; a field that is missing or of another type throws simdjson_error.
class Fields {
  public:
    explicit Fields(dom::element element) : object_(element) {}

    [[nodiscard]] dom::element at(std::string_view key) const { return object_[key]; }
    [[nodiscard]] dom::array array(std::string_view key) const { return object_[key]; }
    [[nodiscard]] std::string text(std::string_view key) const {
        return std::string(std::string_view(object_[key]));
    }
    [[nodiscard]] double real(std::string_view key) const { return object_[key]; }
    [[nodiscard]] std::int64_t count(std::string_view key) const {
        std::int64_t const value = object_[key];
        if (value < 0) throw DamagedManifest(fmt::format("\"{}\" is negative", key));
        return value;
    }
    template <class T>
    [[nodiscard]] std::vector<T> numbers(std::string_view key) const {
        auto const bytes = from_base64(std::string_view(object_[key]));
        if (!bytes || bytes->size() % sizeof(T) != 0) {
            throw DamagedManifest(fmt::format("\"{}\" is no list of numbers", key));
        }
        std::vector<T> values(bytes->size() / sizeof(T));
        if (!values.empty()) std::memcpy(values.data(), bytes->data(), bytes->size());
        return values;
    }

  private:
    dom::object object_;
};

std::vector<TokenLogprob> read_logprobs(Fields const& fields) {
    auto const ids = fields.numbers<TokenId>("ids");
    auto const values = fields.numbers<float>("logprobs");
    auto const counts = fields.numbers<std::int32_t>("top_counts");
    auto const top_ids = fields.numbers<TokenId>("top_ids");
    auto const top_values = fields.numbers<float>("top_logprobs");
    DamagedManifest const mismatch("lists of log-probabilities differ in length");
    if (values.size() != ids.size() || counts.size() != ids.size()) throw mismatch;
    if (top_values.size() != top_ids.size()) throw mismatch;
    std::vector<TokenLogprob> logprobs(ids.size());
    std::size_t next = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (!std::in_range<std::size_t>(counts[i])) throw mismatch;
        auto const count = static_cast<std::size_t>(counts[i]);
        if (count > top_ids.size() - next) throw mismatch;
        logprobs[i].id = ids[i];
        logprobs[i].logprob = values[i];
        logprobs[i].top.reserve(count);
        for (std::size_t const end = next + count; next < end; ++next) {
            logprobs[i].top.emplace_back(top_ids[next], top_values[next]);
        }
    }
    if (next != top_ids.size()) throw mismatch;
    return logprobs;
}

SavedEnd read_end(std::string const& name) {
    auto const* const place = std::find(kSavedEndNames.begin(), kSavedEndNames.end(), name);
    if (place == kSavedEndNames.end()) throw DamagedManifest("\"end\" is unknown");
    return static_cast<SavedEnd>(place - kSavedEndNames.begin());
}

SavedSequence read_sequence(Fields const& fields) {
    SavedSequence sequence;
    sequence.job_id = fields.text("id");
    sequence.job_hash = fields.text("job_hash");
    sequence.prompt_tokens = fields.count("prompt_tokens");
    sequence.position = fields.count("position");
    sequence.shared_tokens = fields.count("shared_tokens");
    sequence.end = read_end(fields.text("end"));
    sequence.generated = fields.numbers<TokenId>("generated");
    sequence.logprobs = read_logprobs(Fields(fields.at("logprobs")));
    sequence.scores = fields.numbers<float>("scores");
    sequence.elapsed_s = fields.real("elapsed_s");
    sequence.prefill_s = fields.real("prefill_s");
    sequence.last_token_s = fields.real("last_token_s");
    sequence.tbt_s = fields.numbers<float>("tbt_s");
    return sequence;
}

KvSegmentInfo read_segment(Fields const& fields) {
    KvSegmentInfo segment;
    segment.name = fields.text("name");
    segment.bytes = fields.count("bytes");
    segment.blocks = fields.count("blocks");
    if (!parse_segment_name(segment.name)) {
        throw DamagedManifest("it names a file that is no segment");
    }
    std::int64_t const checksum = fields.count("checksum");
    if (!std::in_range<std::uint32_t>(checksum)) throw DamagedManifest("\"checksum\" is too large");
    segment.checksum = static_cast<std::uint32_t>(checksum);
    return segment;
}

Manifest read_manifest(Fields const& fields) {
    Manifest manifest;
    manifest.id = {fields.count("run"), fields.count("epoch"), fields.count("replica")};
    manifest.identity = {fields.text("model_fingerprint"), fields.text("dtype"),
                         fields.text("template_fingerprint"), fields.text("model_name")};
    manifest.options = fields.text("options");
    Fields const grid(fields.at("grid"));
    manifest.grid = {grid.count("replicas"), grid.count("spp"), grid.count("kvp"),
                     grid.count("tp")};
    for (dom::element const segment : fields.array("segments")) {
        manifest.segments.push_back(read_segment(Fields(segment)));
    }
    for (dom::element const sequence : fields.array("sequences")) {
        manifest.sequences.push_back(read_sequence(Fields(sequence)));
    }
    return manifest;
}

}  // namespace

std::string manifest_header(std::int64_t version, std::string_view body, std::string_view magic) {
    std::string const salt = fmt::format("{} ", version);
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, salt.data(), salt.size());
    XXH3_128bits_update(&state, body.data(), body.size());
    XXH128_hash_t const hash = XXH3_128bits_digest(&state);
    return fmt::format("{}{}{} {:016x}{:016x}\n", magic, salt, body.size(), hash.high64,
                       hash.low64);
}

std::int64_t check_manifest_header(std::string_view text, std::string_view& body,
                                   std::string_view magic) {
    if (text.empty()) throw DamagedManifest("it is empty");
    std::size_t const line_end = text.find('\n');
    if (!text.starts_with(magic) || line_end == std::string_view::npos) {
        throw DamagedManifest(fmt::format("its first line does not begin with '{}'", magic));
    }
    std::string_view const header = text.substr(0, line_end + 1);
    body = text.substr(line_end + 1);
    std::int64_t version = 0;
    char const* const digits = header.data() + magic.size();
    std::from_chars(digits, header.data() + line_end, version);
    if (header != manifest_header(version, body, magic)) {
        throw DamagedManifest("its contents do not match its checksum");
    }
    return version;
}

Manifest parse_manifest(std::string_view text) {
    std::string_view body;
    std::int64_t const version = check_manifest_header(text, body);
    LH_VALIDATE(
        version == kManifestVersion,
        "the checkpoint is of format {}, this longhaul reads format {}; resume with the "
        "longhaul that wrote it, or start afresh with --fresh or another --checkpoint folder",
        version, kManifestVersion);
    try {
        dom::parser parser;
        simdjson::padded_string const padded(body);
        return read_manifest(Fields(parser.parse(padded)));
    } catch (simdjson::simdjson_error const& error) {
        throw DamagedManifest(fmt::format("it cannot be understood ({})", error.what()));
    }
}

}  // namespace longhaul::io
