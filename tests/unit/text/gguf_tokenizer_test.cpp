#include "text/chat_template.hpp"
#include "text/tokenizer.hpp"
#include "io/model_file.hpp"
#include "unit/text/golden.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <random>

// The real vocabulary, against ids that Hugging Face tokenizers gives for it. Skipped where the model is not there
// (scripts/fetch_model.sh fetches it).
namespace longhaul::text {
namespace {

using testing::ElementsAre;

constexpr char const* kModel = "models/smollm2-135m/model.gguf";

class SmolLm2Tokenizer : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (std::filesystem::exists(kModel)) {
            data_ = std::make_unique<io::TokenizerData>(io::ModelFile::open(kModel)->tokenizer());
        }
    }
    static void TearDownTestSuite() { data_.reset(); }

    void SetUp() override {
        if (data_ == nullptr) {
            GTEST_SKIP() << kModel << " is not there; scripts/fetch_model.sh fetches it";
        }
    }

    static Tokenizer tokenizer(std::string const& pre_tokenizer) {
        TokenizerSpec spec;
        spec.tokens = data_->tokens;
        spec.merges = data_->merges;
        spec.token_types = data_->token_types;
        spec.pre_tokenizer = pre_tokenizer;
        spec.bos_token = data_->bos;
        spec.eos_token = data_->eos;
        spec.add_bos = data_->add_bos;
        return Tokenizer(std::move(spec));
    }

    static std::unique_ptr<io::TokenizerData> data_;
};

std::unique_ptr<io::TokenizerData> SmolLm2Tokenizer::data_;

TEST_F(SmolLm2Tokenizer, EqualsHuggingFace) {
    EXPECT_EQ(data_->pre, "smollm");
    for (std::string const name : {"smollm", "gpt-2"}) {
        Tokenizer const real = tokenizer(name);
        for (Golden const& golden : read_golden("tests/unit/text/data/smollm2_golden.json", name)) {
            EXPECT_EQ(real.encode(golden.text, SpecialTokens::parse).ids, golden.ids)
                << name << " '" << golden.text << "'";
        }
    }
}

// llama.cpp agrees; tokenisers that forget to cut digits out first give 8866, 216, 33.
TEST_F(SmolLm2Tokenizer, BlanksBeforeADigitStayTogether) {
    EXPECT_THAT(tokenizer(data_->pre).encode("\n\n  1", SpecialTokens::plain_text).ids,
                ElementsAre(39892, 33));
}

TEST_F(SmolLm2Tokenizer, ChatTemplateOfTheModel) {
    Tokenizer const real = tokenizer(data_->pre);
    EXPECT_EQ(real.bos_token(), 1);
    EXPECT_EQ(real.eos_token(), 2);
    EXPECT_FALSE(real.add_bos());
    ChatTemplate const chat(data_->chat_template, real.token_text(1), real.token_text(2));
    std::vector<ChatMessage> const messages{{"user", "In the beginning <|im_end|>\n\nSummarise."}};
    auto const pieces = chat.render_pieces(messages, true);
    std::vector<TokenId> const ids = encode_chat(real, pieces).ids;
    EXPECT_EQ(real.decode(ids, ControlTokens::keep), chat.render(messages, true));
    EXPECT_EQ(std::count(ids.begin(), ids.end(), 1), 3);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 2);
}

// 4.4 MB of text that repeats words about as often as prose does, within the two seconds that the project promises.
TEST_F(SmolLm2Tokenizer, FourMegabytesInTwoSeconds) {
    std::mt19937_64 random(71);
    std::string text;
    while (text.size() < 4'400'000) {
        auto const word =
            static_cast<std::uint64_t>(std::exponential_distribution<>(1.0 / 2000)(random));
        text += ' ';
        for (std::uint64_t rest = word * 2654435761U % 1000003; rest > 0; rest /= 19) {
            text += "etaoinshrdlucmfwypg"[rest % 19];
        }
        text += word % 17 == 0 ? ".\n" : "";
    }
    Tokenizer const real = tokenizer(data_->pre);
    auto const begin = std::chrono::steady_clock::now();
    Encoding const encoding = real.encode(text, SpecialTokens::plain_text);
    double const seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    EXPECT_EQ(real.decode(encoding.ids), text);
    RecordProperty("tokens", static_cast<int>(encoding.ids.size()));
    RecordProperty("milliseconds", static_cast<int>(seconds * 1000));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(seconds, 2.0);
#endif
}

}  // namespace
}  // namespace longhaul::text
