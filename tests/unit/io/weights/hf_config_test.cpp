#include "io/hf_config.hpp"

#include "unit/io/weights/weights_support.hpp"

#include <nlohmann/json.hpp>

namespace longhaul::io {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

class HfConfigTest : public ::testing::Test {
  protected:
    HfConfigTest() : config_(json::parse(test::tiny_config_json({}))) {
        write("generation_config.json", "{}");
    }

    void write(std::string const& name, std::string const& text) {
        static_cast<void>(folder_.put(name, text));
    }
    ModelConfig read() {
        write("config.json", config_.dump());
        return hf_config(folder_ / ".");
    }
    std::string refused() {
        return test::refusal([&] { static_cast<void>(read()); });
    }
    // The refusal of config.json with one key changed.
    std::string with(char const* key, json const& value) {
        json const before = config_;
        config_[key] = value;
        std::string message = refused();
        config_ = before;
        return message;
    }

    json config_;
    test::ScratchFolder folder_;
};

TEST_F(HfConfigTest, AbsentKeysHaveTransformersDefaults) {
    for (char const* key :
         {"num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta", "tie_word_embeddings",
          "hidden_act", "rope_scaling", "attention_bias", "bos_token_id", "eos_token_id"}) {
        config_.erase(key);
    }
    ModelConfig const config = read();
    EXPECT_EQ(config.num_kv_heads, config.num_heads);
    EXPECT_EQ(config.head_dim, config.hidden_dim / config.num_heads);
    EXPECT_EQ(config.rms_epsilon, 1e-6);
    EXPECT_EQ(config.rope_theta, 10'000.0);
    EXPECT_FALSE(config.tied_embeddings);
    EXPECT_EQ(config.bos_token, -1);
    EXPECT_TRUE(config.eos_tokens.empty());
}

TEST_F(HfConfigTest, NullsCountAsAbsent) {
    config_["head_dim"] = nullptr;
    config_["sliding_window"] = nullptr;
    config_["eos_token_id"] = nullptr;
    EXPECT_EQ(read().head_dim, 8);
}

TEST_F(HfConfigTest, EndingTokensComeFromTheGenerationConfigFirst) {
    config_["eos_token_id"] = json::array({2, 0});
    EXPECT_EQ(read().eos_tokens, (std::vector<TokenId>{2, 0}));
    write("generation_config.json", R"({"eos_token_id": 5})");
    EXPECT_EQ(read().eos_tokens, std::vector<TokenId>{5});
    write("generation_config.json", R"({"eos_token_id": [1, 7]})");
    EXPECT_EQ(read().eos_tokens, (std::vector<TokenId>{1, 7}));
}

TEST_F(HfConfigTest, TheRopeBaseMayBeNested) {
    config_.erase("rope_theta");
    config_["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500'000}};
    EXPECT_EQ(read().rope_theta, 500'000.0);
}

TEST_F(HfConfigTest, VariantsAreRefusedByName) {
    EXPECT_THAT(with("model_type", "qwen2"), HasSubstr("'qwen2'"));
    EXPECT_THAT(with("architectures", {"MixtralForCausalLM"}), HasSubstr("'MixtralForCausalLM'"));
    EXPECT_THAT(with("rope_scaling", {{"rope_type", "llama3"}, {"factor", 8}}),
                HasSubstr("'llama3': RoPE scaling"));
    EXPECT_THAT(with("rope_scaling", {{"type", "linear"}, {"factor", 8}}),
                HasSubstr("'linear': RoPE scaling"));
    EXPECT_THAT(with("rope_parameters", {{"rope_type", "yarn"}}),
                HasSubstr("'yarn': RoPE scaling"));
    EXPECT_THAT(with("hidden_act", "gelu"), HasSubstr("another activation"));
    EXPECT_THAT(with("attention_bias", true), HasSubstr("biases in attention"));
    EXPECT_THAT(with("mlp_bias", true), HasSubstr("biases in the FFN"));
    EXPECT_THAT(with("sliding_window", 4096), HasSubstr("sliding"));
    EXPECT_THAT(with("num_local_experts", 8), HasSubstr("mixture of experts"));
    EXPECT_THAT(with("partial_rotary_factor", 0.5), HasSubstr("part of each head"));
    EXPECT_THAT(with("quantization_config", {{"quant_method", "gptq"}}),
                HasSubstr("quantised weights"));
    EXPECT_THAT(with("layer_types", {"sliding_attention"}), HasSubstr("full attention"));
}

TEST_F(HfConfigTest, WrongKindsAndValuesAreRefused) {
    EXPECT_THAT(
        with("hidden_size", "576"),
        AllOf(HasSubstr("\"hidden_size\" must be a whole number"), HasSubstr("config.json")));
    EXPECT_THAT(with("hidden_size", 576.5), HasSubstr("whole number"));
    EXPECT_THAT(with("hidden_size", 18446744073709551615U), HasSubstr("whole number"));
    EXPECT_THAT(with("hidden_size", nullptr), HasSubstr("\"hidden_size\" is missing"));
    EXPECT_THAT(with("num_attention_heads", 0), HasSubstr("num_attention_heads is 0"));
    EXPECT_THAT(with("num_attention_heads", -9), HasSubstr("num_attention_heads is -9"));
    EXPECT_THAT(with("head_dim", 12), HasSubstr("head dimension is 12"));
    EXPECT_THAT(with("head_dim", 264), HasSubstr("head dimension is 264"));
    EXPECT_THAT(with("eos_token_id", 271), HasSubstr("end-of-sequence token is 271"));
    EXPECT_THAT(with("eos_token_id", -1), HasSubstr("no token number"));
    EXPECT_THAT(with("rms_norm_eps", -1.0), HasSubstr("epsilon"));
    EXPECT_THAT(with("tie_word_embeddings", "yes"), HasSubstr("true or false"));
    EXPECT_THAT(with("rope_scaling", 2.0), HasSubstr("an object"));
}

TEST_F(HfConfigTest, FilesThatAreNoJsonAreRefused) {
    for (std::string const& text :
         {std::string(), std::string("{"), std::string("[1]"), std::string("{\"a\": 1e999}"),
          std::string(200'000, '['), std::string("{\"a\":\"\xff\"}")}) {
        write("config.json", text);
        EXPECT_THAT(test::refusal([&] { static_cast<void>(hf_config(folder_ / ".")); }),
                    HasSubstr("no JSON object"));
    }
}

TEST_F(HfConfigTest, ChatTemplatesInAllPlaces) {
    ModelConfig const config = read();
    auto const chat_template = [&] { return hf_tokenizer(folder_ / ".", config).chat_template; };
    EXPECT_EQ(chat_template(), "");
    write("tokenizer_config.json", R"({"chat_template": "one", "add_bos_token": true})");
    EXPECT_EQ(chat_template(), "one");
    EXPECT_TRUE(hf_tokenizer(folder_ / ".", config).add_bos);
    EXPECT_TRUE(hf_tokenizer(folder_ / ".", config).tokenizer_json.empty());
    write(
        "tokenizer_config.json",
        R"({"chat_template": [{"name": "tools", "template": "x"}, {"name": "default", "template": "two"}]})");
    EXPECT_EQ(chat_template(), "two");
    write("chat_template.jinja", "three");
    EXPECT_EQ(chat_template(), "three");
    std::filesystem::remove(folder_ / "chat_template.jinja");
    write("tokenizer_config.json", R"({"chat_template": [{"name": "tools", "template": "x"}]})");
    EXPECT_THAT(test::refusal(chat_template), HasSubstr("named \"default\""));
}

TEST_F(HfConfigTest, FoldersThatLackSomethingSayWhat) {
    std::filesystem::path const path = folder_ / ".";
    auto const open = [&] {
        return test::refusal([&] { static_cast<void>(ModelFile::open(path)); });
    };
    EXPECT_THAT(open(), HasSubstr("no config.json"));
    static_cast<void>(read());
    EXPECT_THAT(open(), HasSubstr("no weights beside it; put model.safetensors there"));
    write("model.safetensors.index.json", "{}");
    EXPECT_THAT(open(), HasSubstr("cut into several files"));
}

}  // namespace
}  // namespace longhaul::io
