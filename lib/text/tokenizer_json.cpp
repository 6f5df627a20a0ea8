#include "text/tokenizer_json.hpp"

#include "base/error.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cstdint>
#include <fstream>

namespace longhaul::text {
namespace {

using Json = nlohmann::json;

class Reader {
  public:
    explicit Reader(std::string_view origin) : origin_(origin) {}

    TokenizerSpec read(Json const& root) const {
        require(root.is_object(), "its top level is not an object");
        refuse_unless_null(root, "normalizer");
        refuse_unless_null(root, "truncation");
        refuse_unless_null(root, "padding");
        require_byte_level_or_null(root, "post_processor");
        require_byte_level(root, "decoder");
        TokenizerSpec spec;
        read_pre_tokenizer(member(root, "pre_tokenizer"), spec);
        Json const& model = member(root, "model");
        check_model(model);
        read_vocabulary(member(model, "vocab"), spec);
        read_added_tokens(root, spec);
        read_merges(member(model, "merges"), spec);
        if (Json const& unknown = member(model, "unk_token");
            unknown.is_string() && !unknown.get_ref<std::string const&>().empty()) {
            spec.missing_byte_token =
                id_of(member(member(model, "vocab"), unknown.get<std::string>()));
        }
        return spec;
    }

  private:
    template <class... Args>
    [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
        throw ValidationError(fmt::format("the tokenizer {} cannot be used: {}", origin_,
                                          fmt::format(format, std::forward<Args>(args)...)));
    }

    void require(bool condition, std::string_view problem) const {
        if (!condition) {
            refuse("{}; it is damaged or no Hugging Face tokenizer.json", problem);
        }
    }

    // A missing member reads as null.
    static Json const& member(Json const& object, std::string const& name) {
        static Json const null;
        auto const found = object.is_object() ? object.find(name) : object.end();
        return object.is_object() && found != object.end() ? *found : null;
    }

    static std::string type_name(Json const& part) {
        Json const& type = member(part, "type");
        return type.is_string() ? type.get<std::string>() : "without a type";
    }

    static bool flag(Json const& object, std::string const& name, bool fallback) {
        Json const& value = member(object, name);
        return value.is_boolean() ? value.get<bool>() : fallback;
    }

    void refuse_unless_null(Json const& root, std::string const& name) const {
        Json const& part = member(root, name);
        if (!part.is_null()) {
            refuse("its {} '{}' is not supported; use a tokenizer without one", name,
                   type_name(part));
        }
    }

    void require_byte_level(Json const& root, std::string const& name) const {
        Json const& part = member(root, name);
        if (type_name(part) != "ByteLevel") {
            refuse("its {} '{}' is not supported; only ByteLevel is", name, type_name(part));
        }
    }

    void require_byte_level_or_null(Json const& root, std::string const& name) const {
        if (!member(root, name).is_null()) {
            require_byte_level(root, name);
        }
    }

    // True if it cuts with GPT-2's pattern, false if it only maps bytes to letters.
    bool byte_level_cuts(Json const& step) const {
        if (type_name(step) != "ByteLevel") {
            refuse("its pre_tokenizer '{}' is not supported here; the last step must be ByteLevel",
                   type_name(step));
        }
        if (flag(step, "add_prefix_space", true)) {
            refuse("its pre_tokenizer sets add_prefix_space, which is not supported");
        }
        return flag(step, "use_regex", true);
    }

    void read_pre_tokenizer(Json const& part, TokenizerSpec& spec) const {
        if (type_name(part) != "Sequence") {
            if (!byte_level_cuts(part)) {
                refuse(
                    "its pre_tokenizer ByteLevel without use_regex does not cut words, which is "
                    "not supported");
            }
            spec.pre_tokenizer = "gpt-2";
            return;
        }
        Json const& steps = member(part, "pretokenizers");
        if (!steps.is_array() || steps.size() != 2) {
            refuse("its pre_tokenizer Sequence does not have two steps, which is not supported");
        }
        bool const cuts = byte_level_cuts(steps[1]);
        std::string const first = type_name(steps[0]);
        if (first == "Digits" && flag(steps[0], "individual_digits", false) && cuts) {
            spec.pre_tokenizer = "smollm";
        } else if (first == "Split" && !cuts && member(steps[0], "behavior") == "Isolated" &&
                   !flag(steps[0], "invert", false) &&
                   member(member(steps[0], "pattern"), "Regex").is_string()) {
            spec.pre_tokenizer = "regex";
            spec.split_pattern = member(member(steps[0], "pattern"), "Regex").get<std::string>();
        } else {
            refuse("its pre_tokenizer step '{}' with these options is not supported", first);
        }
    }

    void check_model(Json const& model) const {
        std::string const type = member(model, "type").is_null() ? "BPE" : type_name(model);
        if (type != "BPE") {
            refuse("its model '{}' is not supported; only BPE is", type);
        }
        for (char const* const name : {"fuse_unk", "byte_fallback", "ignore_merges"}) {
            if (flag(model, name, false)) {
                refuse("its model sets {}, which is not supported", name);
            }
        }
        for (char const* const name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
            Json const& value = member(model, name);
            if (!value.is_null() &&
                !(value.is_string() && value.get_ref<std::string const&>().empty())) {
                refuse("its model sets {}, which is not supported", name);
            }
        }
        Json const& dropout = member(model, "dropout");
        if (!dropout.is_null() && dropout != 0.0) {
            refuse("its model sets dropout, which makes tokens random");
        }
    }

    TokenId id_of(Json const& value) const {
        constexpr std::uint64_t kMostTokens = 100'000'000;
        require(value.is_number_unsigned() && value.get<std::uint64_t>() < kMostTokens,
                "a token id is not a small whole number");
        return value.get<TokenId>();
    }

    void read_vocabulary(Json const& vocabulary, TokenizerSpec& spec) const {
        require(vocabulary.is_object(), "its model has no vocabulary");
        spec.tokens.resize(vocabulary.size());
        std::vector<bool> seen(vocabulary.size());
        for (auto const& [token, value] : vocabulary.items()) {
            auto const id = static_cast<std::size_t>(id_of(value));
            require(id < seen.size() && !seen[id], "the ids of its vocabulary have gaps or repeat");
            seen[id] = true;
            spec.tokens[id] = token;
        }
        spec.token_types.assign(spec.tokens.size(), static_cast<std::int32_t>(TokenType::normal));
    }

    void read_added_tokens(Json const& root, TokenizerSpec& spec) const {
        Json const& list = member(root, "added_tokens");
        require(list.is_null() || list.is_array(), "its added_tokens are not a list");
        for (Json const& token : list) {
            require(member(token, "content").is_string(), "an added token has no content");
            auto const& content = member(token, "content").get_ref<std::string const&>();
            for (char const* const name : {"single_word", "lstrip", "rstrip"}) {
                if (flag(token, name, false)) {
                    refuse("its added token '{}' sets {}, which is not supported", content, name);
                }
            }
            auto const id = static_cast<std::size_t>(id_of(member(token, "id")));
            require(id <= spec.tokens.size(), "the ids of its added tokens leave a gap");
            if (id == spec.tokens.size()) {
                spec.tokens.push_back(content);
                spec.token_types.push_back(0);
            }
            require(spec.tokens[id] == content, "an added token has the id of another token");
            spec.token_types[id] = static_cast<std::int32_t>(
                flag(token, "special", false) ? TokenType::control : TokenType::user_defined);
        }
    }

    void read_merges(Json const& merges, TokenizerSpec& spec) const {
        require(merges.is_array(), "its model has no merges");
        spec.merges.reserve(merges.size());
        for (Json const& merge : merges) {
            if (merge.is_string()) {
                spec.merges.push_back(merge.get<std::string>());
                continue;
            }
            require(merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
                        merge[1].is_string(),
                    "a merge is no pair of tokens");
            spec.merges.push_back(merge[0].get<std::string>() + ' ' + merge[1].get<std::string>());
        }
    }

    std::string_view origin_;
};

}  // namespace

TokenizerSpec parse_tokenizer_json(std::string_view json, std::string_view origin) {
    Json const root = Json::parse(json, nullptr, false);
    LH_VALIDATE(!root.is_discarded(),
                "the tokenizer {} is not JSON; it is damaged or incomplete, fetch it again",
                origin);
    return Reader(origin).read(root);
}

TokenizerSpec load_tokenizer_json(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    std::string content;
    std::array<char, 1 << 16> part;
    while (file.read(part.data(), part.size()) || file.gcount() > 0) {
        content.append(part.data(), static_cast<std::size_t>(file.gcount()));
    }
    LH_VALIDATE(file.eof() && !file.bad(),
                "the tokenizer {} cannot be read; check the path and its permissions",
                path.string());
    return parse_tokenizer_json(content, path.string());
}

}  // namespace longhaul::text
