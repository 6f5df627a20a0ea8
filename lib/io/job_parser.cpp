#include "io/job.hpp"
#include "io/job_hash.hpp"
#include "io/job_utf8.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace longhaul::io {
namespace {

namespace json = simdjson::ondemand;

constexpr char const* kKinds = R"("document", "text", "score" or "video_tokens")";

/// Collects the fields of one line. The first complaint about a field is kept and reading goes on, since the id may stand
/// behind it; a line that is no JSON at all outweighs every other complaint. Throws nothing for bad input.
class JobParser {
  public:
    explicit JobParser(std::filesystem::path const& base_dir) : base_dir_(base_dir) {}

    void read_line(std::string_view line);

    Job job;
    std::optional<JobError> error;
    bool is_json = true;

  private:
    void read_object(json::object object);
    void read_field(std::string_view key, json::value value);
    void read_id(json::value value);
    void read_kind(json::value value);
    void read_path(json::value value);
    void read_token_ids(json::value value);
    bool read_sampling(std::string_view key, json::value value);
    void check_sources();
    void check_score();
    void check_video();

    std::optional<std::string> string_of(std::string_view key, json::value value);
    std::optional<std::string> filled_string_of(std::string_view key, json::value value);
    std::optional<json::number> number_of(std::string_view key, json::value value);
    std::optional<std::int64_t> integer_of(std::string_view key, json::value value,
                                           std::int64_t low, std::int64_t high);
    std::optional<bool> bool_of(std::string_view key, json::value value);

    void complain(char const* code, std::string message) {
        if (!error) error = JobError{code, std::move(message)};
    }
    void bad_field(std::string_view key, std::string_view reason) {
        complain("bad_field", fmt::format("field \"{}\" {}", key, reason));
    }
    void not_json(std::string reason) {
        if (!is_json) return;
        is_json = false;
        error = JobError{"bad_json", std::move(reason)};
    }

    std::filesystem::path const& base_dir_;
    std::vector<std::string> keys_;  // those read so far
    bool has_kind_ = false;
    std::string sampling_key_;  // one that makes no sense for a score
};

// Keys come from the line and go into a message: keep them short.
std::string shown(std::string_view key) {
    constexpr std::size_t kLongest = 60;
    std::string text(key.substr(0, kLongest));
    return key.size() <= kLongest ? text : replace_invalid_utf8(text) + "...";
}

bool has_control_characters(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

void JobParser::read_line(std::string_view line) {
    if (auto const bad = first_invalid_utf8(line)) {
        is_json = false;
        error = JobError{
            "invalid_utf8",
            fmt::format("byte {} of the line is not UTF-8; save the queue as UTF-8", *bad)};
        return;
    }
    simdjson::padded_string const padded(line);
    json::parser parser;
    json::document document;
    json::object object;
    if (auto const code = parser.iterate(padded).get(document)) {
        not_json(simdjson::error_message(code));
    } else if (document.get_object().get(object)) {
        not_json("a job is a JSON object, {...}, on one line");
    } else {
        read_object(object);
        char const* place = nullptr;
        bool const at_end = document.current_location().get(place) == simdjson::OUT_OF_BOUNDS;
        if (!at_end) not_json("something follows the closing brace; write one job a line");
    }
    if (!is_json) return;
    check_sources();
    check_score();
    check_video();
}

void JobParser::read_object(json::object object) {
    for (auto field : object) {
        std::string_view key;
        if (auto const code = field.unescaped_key().get(key))
            return not_json(simdjson::error_message(code));
        json::value value;
        if (auto const code = field.value().get(value))
            return not_json(simdjson::error_message(code));
        if (std::find(keys_.begin(), keys_.end(), key) != keys_.end()) {
            bad_field(shown(key), "stands twice in the line");
            continue;
        }
        // Only so many different keys are known; a line with more of them is refused anyway.
        if (keys_.size() < 64) keys_.emplace_back(key);
        read_field(std::string(key), value);
        if (!is_json) return;
    }
}

void JobParser::read_field(std::string_view key, json::value value) {
    bool null = false;
    auto const code = value.is_null().get(null);
    if (code) return not_json(simdjson::error_message(code));
    if (key == "id") {
        read_id(value);
    } else if (key == "kind") {
        read_kind(value);
    } else if (key == "path") {
        if (!null) read_path(value);
    } else if (key == "text") {
        if (!null) job.text = filled_string_of(key, value);
    } else if (key == "token_ids") {
        if (!null) read_token_ids(value);
    } else if (key == "prompt") {
        if (!null) job.prompt = filled_string_of(key, value);
    } else if (key == "system") {
        if (!null) job.system = string_of(key, value);
    } else if (!read_sampling(key, value)) {
        bool const batch = key == "custom_id" || key == "body" || key == "url" || key == "method";
        complain(
            "unsupported_field",
            fmt::format(
                "field \"{}\" is not supported{}", shown(key),
                batch ? ": this looks like a line of the OpenAI batch form; write the native form, "
                        "{\"id\", \"kind\", \"path\" or \"text\", ...}"
                      : "; take it out, or correct its spelling"));
    }
}

// True when the key is one of ours, whatever became of its value.
bool JobParser::read_sampling(std::string_view key, json::value value) {
    SamplingOptions& sampling = job.sampling;
    bool null = false;
    if (value.is_null().get(null)) return true;
    if (key == "max_tokens") {
        auto const number =
            null ? sampling.max_tokens
                 : integer_of(key, value, 1, std::numeric_limits<std::int32_t>::max());
        sampling.max_tokens = number.value_or(kDefaultMaxTokens);
    } else if (key == "logprobs") {
        auto const number = null ? std::nullopt : integer_of(key, value, 0, kMaxTopLogprobs);
        if (number) sampling.logprobs = static_cast<std::int32_t>(*number);
    } else if (key == "ignore_eos") {
        sampling.ignore_eos = null ? false : bool_of(key, value).value_or(false);
    } else if (key == "temperature") {
        auto const number = null ? std::nullopt : number_of(key, value);
        double const temperature = number ? number->as_double() : 0.0;
        if (!std::isfinite(temperature) || temperature < 0)
            bad_field(key, "must be 0 (greedy) or a positive number");
        sampling.temperature =
            temperature == 0 ? 0.0 : temperature;  // no negative zero: it would hash differently
    } else if (key == "seed") {
        auto const number = null ? std::nullopt : number_of(key, value);
        if (number && (number->is_double() || (number->is_int64() && number->get_int64() < 0))) {
            bad_field(key, "must be a whole number from 0 to 18446744073709551615");
        } else if (number) {
            sampling.seed = number->is_uint64() ? number->get_uint64()
                                                : static_cast<std::uint64_t>(number->get_int64());
        }
    } else {
        return false;
    }
    if (!null) sampling_key_ = key;
    return true;
}

void JobParser::read_id(json::value value) {
    auto const text = string_of("id", value);
    if (!text) return;
    if (text->empty() || text->size() > kMaxIdBytes || has_control_characters(*text)) {
        return bad_field(
            "id", fmt::format("must have 1 to {} bytes and no control characters", kMaxIdBytes));
    }
    job.id = *text;
}

void JobParser::read_kind(json::value value) {
    auto const text = string_of("kind", value);
    if (!text) return;
    has_kind_ = true;
    for (JobKind const kind :
         {JobKind::document, JobKind::text, JobKind::score, JobKind::video_tokens}) {
        if (*text == job_kind_name(kind)) {
            job.kind = kind;
            return;
        }
    }
    complain("unknown_kind",
             fmt::format("kind \"{}\" is not supported; choose {}", shown(*text), kKinds));
}

void JobParser::read_path(json::value value) {
    auto const text = filled_string_of("path", value);
    if (!text) return;
    if (text->find('\0') != std::string::npos)
        return bad_field("path", "has a NUL character in it");
    job.path = (base_dir_ / *text).lexically_normal();
}

void JobParser::read_token_ids(json::value value) {
    json::array array;
    if (value.get_array().get(array)) return bad_field("token_ids", "must be a list of token ids");
    std::vector<TokenId>& ids = job.token_ids.emplace();
    for (auto element : array) {
        json::value item;
        if (auto const code = element.get(item)) return not_json(simdjson::error_message(code));
        std::int64_t id = 0;
        if (item.get_int64().get(id) || id < 0 || id > std::numeric_limits<TokenId>::max()) {
            return bad_field(
                "token_ids",
                fmt::format("must hold whole numbers from 0 up; entry {} is not one", ids.size()));
        }
        ids.push_back(static_cast<TokenId>(id));
    }
    if (ids.empty()) complain("empty", "field \"token_ids\" is empty; give at least one token id");
}

std::optional<std::string> JobParser::string_of(std::string_view key, json::value value) {
    json::json_type type{};
    std::string_view text;
    if (auto const code = value.type().get(type)) {
        not_json(simdjson::error_message(code));
    } else if (type != json::json_type::string) {
        bad_field(key, "must be a string");
    } else if (value.get_string().get(text) || first_invalid_utf8(text)) {
        not_json(fmt::format(
            "the string of field \"{}\" has a bad escape in it (a lone surrogate is one)", key));
    } else {
        return std::string(text);
    }
    return std::nullopt;
}

std::optional<std::string> JobParser::filled_string_of(std::string_view key, json::value value) {
    auto text = string_of(key, value);
    if (text && text->empty()) {
        complain("empty", fmt::format("field \"{}\" is empty; fill it or leave it out", key));
        return std::nullopt;
    }
    return text;
}

std::optional<json::number> JobParser::number_of(std::string_view key, json::value value) {
    json::json_type type{};
    json::number number;
    if (auto const code = value.type().get(type)) {
        not_json(simdjson::error_message(code));
    } else if (type != json::json_type::number) {
        bad_field(key, "must be a number");
    } else if (value.get_number().get(number)) {
        bad_field(key, "is malformed or too large a number");
    } else {
        return number;
    }
    return std::nullopt;
}

std::optional<std::int64_t> JobParser::integer_of(std::string_view key, json::value value,
                                                  std::int64_t low, std::int64_t high) {
    auto const number = number_of(key, value);
    if (!number) return std::nullopt;
    if (!number->is_int64() || number->get_int64() < low || number->get_int64() > high) {
        bad_field(key, fmt::format("must be a whole number from {} to {}", low, high));
        return std::nullopt;
    }
    return number->get_int64();
}

std::optional<bool> JobParser::bool_of(std::string_view key, json::value value) {
    bool flag = false;
    if (value.get_bool().get(flag)) {
        bad_field(key, "must be true or false");
        return std::nullopt;
    }
    return flag;
}

void JobParser::check_sources() {
    if (job.id.empty()) bad_field("id", "is missing");
    if (!has_kind_) bad_field("kind", fmt::format("is missing; choose {}", kKinds));
    int const sources = static_cast<int>(job.path.has_value()) +
                        static_cast<int>(job.text.has_value()) +
                        static_cast<int>(job.token_ids.has_value());
    if (sources != 1) {
        complain("bad_field",
                 fmt::format("give one of \"path\", \"text\" and \"token_ids\", not {}",
                             sources == 0 ? "none" : "several"));
    }
    if (job.token_ids && (job.prompt || job.system)) {
        bad_field(job.prompt ? "prompt" : "system",
                  "does not go with \"token_ids\", which are used as they are");
    }
}

void JobParser::check_score() {
    if (job.kind == JobKind::score && !sampling_key_.empty()) {
        bad_field(sampling_key_, "does not go with kind \"score\", which generates nothing");
    }
}

void JobParser::check_video() {
    if (job.kind != JobKind::video_tokens) return;
    if (!job.path) {
        return bad_field(
            job.text ? "text" : "token_ids",
            "does not go with kind \"video_tokens\"; give the \"path\" of an HDF5 file");
    }
    std::string_view const prompt = job.prompt ? std::string_view(*job.prompt) : "";
    if (prompt.find(kVideoMarker) != prompt.rfind(kVideoMarker)) {
        bad_field("prompt",
                  fmt::format("holds {} more than once; a job has one video", kVideoMarker));
    }
}

}  // namespace

ParsedJob parse_job(std::string_view line, std::int64_t line_number,
                    std::filesystem::path const& base_dir) {
    JobParser parser(base_dir);
    parser.read_line(line);
    if (!parser.error) return std::move(parser.job);
    BadJob bad;
    bad.own_id = parser.is_json && !parser.job.id.empty();
    bad.id = bad.own_id ? std::move(parser.job.id) : fmt::format("line-{}", line_number);
    bad.error = *std::move(parser.error);
    bad.error.message = fmt::format("line {} of the queue: {}", line_number, bad.error.message);
    bad.job_hash = line_hash(line);
    return bad;
}

}  // namespace longhaul::io
