#include "text/tokenizer_json.hpp"

#include "base/error.hpp"
#include "text/tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <functional>
#include <random>

namespace longhaul::text {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

Json good() {
    return Json::parse(R"({
        "added_tokens": [{"id": 3, "content": "<s>", "special": true}, {"id": 4, "content": "<u>", "special": false}],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<s>": 3}, "merges": ["a b"]}
    })");
}

// The message of the error that this change to a good file causes.
std::string refusal(std::function<void(Json&)> const& change) {
    Json json = good();
    change(json);
    try {
        (void)Tokenizer(parse_tokenizer_json(json.dump(), "x.json"));
    } catch (ValidationError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(TokenizerJson, ReadsAll) {
    TokenizerSpec const spec = parse_tokenizer_json(good().dump(), "x.json");
    EXPECT_EQ(spec.tokens, (std::vector<std::string>{"a", "b", "ab", "<s>", "<u>"}));
    EXPECT_EQ(spec.token_types, (std::vector<std::int32_t>{1, 1, 1, 3, 4}));
    EXPECT_EQ(spec.merges, (std::vector<std::string>{"a b"}));
    EXPECT_EQ(spec.pre_tokenizer, "gpt-2");
    EXPECT_EQ(spec.missing_byte_token, -1);
}

TEST(TokenizerJson, ReadsTheOtherForms) {
    EXPECT_EQ(refusal([](Json& json) { json["model"]["merges"] = Json::parse(R"([["a", "b"]])"); }),
              "accepted");
    EXPECT_EQ(refusal([](Json& json) { json["model"].erase("type"); }), "accepted");
    EXPECT_EQ(refusal([](Json& json) { json.erase("added_tokens"); }), "accepted");
    Json json = good();
    json["model"]["unk_token"] = "ab";
    json["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false}]})");
    EXPECT_EQ(parse_tokenizer_json(json.dump(), "x").pre_tokenizer, "smollm");
    EXPECT_EQ(parse_tokenizer_json(json.dump(), "x").missing_byte_token, 2);
    json["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "a+"}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
    EXPECT_EQ(parse_tokenizer_json(json.dump(), "x").pre_tokenizer, "regex");
    EXPECT_EQ(parse_tokenizer_json(json.dump(), "x").split_pattern, "a+");
}

TEST(TokenizerJson, RefusesByName) {
    auto const set = [](char const* pointer, Json value) {
        return refusal([&](Json& json) { json[Json::json_pointer(pointer)] = value; });
    };
    EXPECT_THAT(set("/normalizer", {{"type", "NFC"}}),
                HasSubstr("x.json cannot be used: its normalizer 'NFC'"));
    EXPECT_THAT(set("/truncation", {{"max_length", 5}}), HasSubstr("truncation"));
    EXPECT_THAT(set("/post_processor", {{"type", "TemplateProcessing"}}),
                HasSubstr("post_processor 'TemplateProcessing'"));
    EXPECT_THAT(set("/decoder", {{"type", "WordPiece"}}), HasSubstr("decoder 'WordPiece'"));
    EXPECT_THAT(set("/decoder", nullptr), HasSubstr("decoder"));
    EXPECT_THAT(set("/model/type", "Unigram"), HasSubstr("model 'Unigram'"));
    EXPECT_THAT(set("/model/ignore_merges", true), HasSubstr("ignore_merges"));
    EXPECT_THAT(set("/model/byte_fallback", true), HasSubstr("byte_fallback"));
    EXPECT_THAT(set("/model/dropout", 0.1), HasSubstr("dropout"));
    EXPECT_THAT(set("/model/end_of_word_suffix", "</w>"), HasSubstr("end_of_word_suffix"));
    EXPECT_THAT(set("/added_tokens/0/lstrip", true), HasSubstr("'<s>' sets lstrip"));
    EXPECT_THAT(set("/pre_tokenizer/type", "Metaspace"), HasSubstr("'Metaspace'"));
    EXPECT_THAT(set("/pre_tokenizer/add_prefix_space", true), HasSubstr("add_prefix_space"));
    EXPECT_THAT(set("/pre_tokenizer/use_regex", false), HasSubstr("use_regex"));
    EXPECT_THAT(set("/pre_tokenizer", nullptr), HasSubstr("pre_tokenizer"));
    EXPECT_THAT(set("/pre_tokenizer", Json::parse(R"({"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": false}, {"type": "ByteLevel", "add_prefix_space": false}]})")),
                HasSubstr("'Digits'"));
}

TEST(TokenizerJson, RefusesDamage) {
    auto const set = [](char const* pointer, Json value) {
        return refusal([&](Json& json) { json[Json::json_pointer(pointer)] = value; });
    };
    EXPECT_THAT(set("/model/vocab/b", 7), HasSubstr("gaps or repeat"));
    EXPECT_THAT(set("/model/vocab/b", 0), HasSubstr("gaps or repeat"));
    EXPECT_THAT(set("/model/vocab/b", -1), HasSubstr("token id"));
    EXPECT_THAT(set("/model/vocab/b", "x"), HasSubstr("token id"));
    EXPECT_THAT(set("/model/vocab", 3), HasSubstr("vocabulary"));
    EXPECT_THAT(set("/model/vocab", Json::object()), testing::Not("accepted"));
    EXPECT_THAT(set("/model/merges", nullptr), HasSubstr("merges"));
    EXPECT_THAT(set("/model/merges/0", {"a", "b", "c"}), HasSubstr("pair"));
    EXPECT_THAT(set("/model/merges/0", "a c"), HasSubstr("vocabulary lacks"));
    EXPECT_THAT(set("/added_tokens/0/id", 9), HasSubstr("gap"));
    EXPECT_THAT(set("/added_tokens/0/id", 1), HasSubstr("id of another token"));
    EXPECT_THAT(set("/added_tokens", 5), HasSubstr("added_tokens"));
    EXPECT_THAT(set("/model/unk_token", "nope"), HasSubstr("token id"));
    for (char const* const text : {"", "{", "[]", "3", "\"x\"", "{\"model\": []}", "\xff"}) {
        EXPECT_THROW((void)parse_tokenizer_json(text, "x"), ValidationError) << text;
    }
    EXPECT_THROW((void)parse_tokenizer_json(std::string(200'000, '['), "x"), ValidationError);
}

TEST(TokenizerJson, NamesTheFileThatIsMissing) {
    try {
        (void)load_tokenizer_json("no/such/tokenizer.json");
        FAIL();
    } catch (ValidationError const& error) {
        EXPECT_THAT(error.what(), HasSubstr("no/such/tokenizer.json cannot be read"));
    }
    EXPECT_THROW((void)load_tokenizer_json("tests"), ValidationError);
}

// Whatever bytes change, loading either works or says why not.
TEST(TokenizerJson, DamagedBytesNeverCrash) {
    std::string const text = good().dump();
    std::mt19937_64 random(51);
    for (int round = 0; round < 3000; ++round) {
        std::string damaged = text;
        for (std::uint64_t i = 1 + random() % 3; i > 0; --i) {
            damaged[random() % damaged.size()] =
                static_cast<char>("\"{}[]:,01az\\ \xff"[random() % 14]);
        }
        try {
            Tokenizer const tokenizer(parse_tokenizer_json(damaged, "x"));
            (void)tokenizer.encode("ab<s>ba", SpecialTokens::parse);
        } catch (ValidationError const&) {
        }
    }
}

}  // namespace
}  // namespace longhaul::text
