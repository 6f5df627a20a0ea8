#include "support/models/tiny_tokenizer.hpp"

#include "base/error.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <string_view>

namespace longhaul::test {
namespace {

using Json = nlohmann::ordered_json;

// Each side of a merge is a byte or the result of an earlier one. U+0120 stands for the space.
constexpr std::array<std::array<std::string_view, 2>, 24> kMerges{{
    {"\u0120", "t"}, {"h", "e"}, {"\u0120", "a"},  {"i", "n"}, {"\u0120t", "he"}, {"r", "e"},
    {"o", "n"},      {"e", "r"}, {"n", "d"},       {"o", "u"}, {"\u0120", "s"},   {"\u0120a", "nd"},
    {"l", "l"},      {"a", "t"}, {"\u0120", "w"},  {"i", "t"}, {"\u0120", "o"},   {"in", "g"},
    {"e", "s"},      {"o", "r"}, {"\u0120o", "f"}, {"i", "s"}, {"u", "s"},        {"e", "n"},
}};

// Code points below U+0800 only.
std::string utf8(unsigned code) {
    if (code < 0x80) {
        return {static_cast<char>(code)};
    }
    return {static_cast<char>(0xc0U | (code >> 6)), static_cast<char>(0x80U | (code & 0x3fU))};
}

bool stands_for_itself(unsigned byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

}  // namespace

TinyTokenizer tiny_tokenizer(std::int64_t vocab_size) {
    LH_EXPECT(vocab_size >= 259);
    TinyTokenizer result;
    result.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    result.special.assign(3, true);
    for (unsigned byte = 0; byte < 256; ++byte) {
        if (stands_for_itself(byte)) {
            result.tokens.push_back(utf8(byte));
        }
    }
    for (unsigned other = 0; result.tokens.size() < 259;
         ++other) {  // the other bytes take U+0100 and up
        result.tokens.push_back(utf8(256 + other));
    }
    auto const size = static_cast<std::size_t>(vocab_size);
    for (auto const& [left, right] : kMerges) {
        if (result.tokens.size() < size) {
            result.merges.push_back(std::string(left) + ' ' + std::string(right));
            result.tokens.push_back(std::string(left) + std::string(right));
        }
    }
    result.special.resize(result.tokens.size(), false);
    while (result.tokens.size() < size) {
        result.tokens.push_back("<|extra_" + std::to_string(result.tokens.size()) + "|>");
        result.special.push_back(true);
    }
    return result;
}

std::string tiny_chat_template() {
    return "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
           "message['content'] + "
           "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
           "'<|im_start|>assistant\\n' }}{% endif %}";
}

std::string tokenizer_json(TinyTokenizer const& tokenizer) {
    Json added = Json::array();
    Json vocabulary = Json::object();
    for (std::size_t id = 0; id < tokenizer.tokens.size(); ++id) {
        vocabulary[tokenizer.tokens[id]] = id;
        if (tokenizer.special[id]) {
            added.push_back({{"id", id},
                             {"content", tokenizer.tokens[id]},
                             {"single_word", false},
                             {"lstrip", false},
                             {"rstrip", false},
                             {"normalized", false},
                             {"special", true}});
        }
    }
    Json const byte_level{{"type", "ByteLevel"},
                          {"add_prefix_space", false},
                          {"trim_offsets", true},
                          {"use_regex", true}};
    Json const digits{{"type", "Digits"}, {"individual_digits", true}};
    Json const file{{"version", "1.0"},
                    {"truncation", nullptr},
                    {"padding", nullptr},
                    {"added_tokens", added},
                    {"normalizer", nullptr},
                    {"pre_tokenizer",
                     {{"type", "Sequence"}, {"pretokenizers", Json::array({digits, byte_level})}}},
                    {"post_processor", nullptr},
                    {"decoder", byte_level},
                    {"model",
                     {{"type", "BPE"},
                      {"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"vocab", vocabulary},
                      {"merges", tokenizer.merges}}}};
    return file.dump(2);
}

}  // namespace longhaul::test
