// Models that longhaul would not compute exactly, and files that do not hold what they announce, are refused by name.
#include "io/model_file.hpp"
#include "support/models/encode_tensor.hpp"
#include "support/models/gguf_writer.hpp"
#include "unit/io/weights/weights_support.hpp"

#include <functional>

namespace longhaul::io {
namespace {

using test::GgufWriter;
using ::testing::AllOf;
using ::testing::HasSubstr;

using Change = std::function<void(GgufWriter&)>;

// The smallest model: one layer, two heads of 8, a vocabulary of 4 without a tokenizer.
struct Parts {
    std::function<void(GgufWriter&, std::string const& key, std::int64_t value)> integer =
        [](GgufWriter& writer, std::string const& key, std::int64_t value) {
            writer.u32(key, value);
        };
    std::function<void(GgufWriter&, std::string const& name,
                       std::vector<std::int64_t> const& shape)>
        tensor = [](GgufWriter& writer, std::string const& name,
                    std::vector<std::int64_t> const& shape) {
            std::int64_t const rows = shape.size() == 2 ? shape[0] : 1;
            writer.tensor(name, shape, 0,
                          std::string(static_cast<std::size_t>(rows * shape.back() * 4), '\0'));
        };
    std::string architecture = "llama";
    Change extra = [](GgufWriter&) {};
};

std::string refused(Parts const& parts) {
    GgufWriter writer;
    writer.text("general.architecture", parts.architecture);
    writer.real("llama.attention.layer_norm_rms_epsilon", 1e-5);
    struct Integer {
        char const* key;
        std::int64_t value;
    };
    for (auto const& [key, value] :
         {Integer{"llama.block_count", 1}, Integer{"llama.embedding_length", 16},
          Integer{"llama.attention.head_count", 2}, Integer{"llama.attention.head_count_kv", 1},
          Integer{"llama.feed_forward_length", 24}, Integer{"llama.vocab_size", 4}}) {
        parts.integer(writer, key, value);
    }
    parts.extra(writer);
    struct Tensor {
        char const* name;
        std::vector<std::int64_t> shape;
    };
    for (auto const& [name, shape] :
         {Tensor{"token_embd.weight", {4, 16}}, Tensor{"output_norm.weight", {16}},
          Tensor{"blk.0.attn_norm.weight", {16}}, Tensor{"blk.0.attn_q.weight", {16, 16}},
          Tensor{"blk.0.attn_k.weight", {8, 16}}, Tensor{"blk.0.attn_v.weight", {8, 16}},
          Tensor{"blk.0.attn_output.weight", {16, 16}}, Tensor{"blk.0.ffn_norm.weight", {16}},
          Tensor{"blk.0.ffn_gate.weight", {24, 16}}, Tensor{"blk.0.ffn_up.weight", {24, 16}},
          Tensor{"blk.0.ffn_down.weight", {16, 24}}}) {
        parts.tensor(writer, name, shape);
    }
    test::ScratchFolder const folder;
    std::filesystem::path const path = folder.put("model.gguf", writer.finish());
    return test::refusal([&] { static_cast<void>(ModelFile::open(path)); });
}

std::string with(Change const& extra) {
    Parts parts;
    parts.extra = extra;
    return refused(parts);
}

std::string with_integer(std::string const& changed, std::int64_t to) {
    Parts parts;
    parts.integer = [&](GgufWriter& writer, std::string const& key, std::int64_t value) {
        writer.u32(key, key == changed ? to : value);
    };
    return refused(parts);
}

TEST(ModelVariants, TheUnchangedModelIsAccepted) { EXPECT_EQ(refused(Parts{}), ""); }

TEST(ModelVariants, OtherArchitecturesAreRefusedByName) {
    Parts parts;
    parts.architecture = "qwen2";
    EXPECT_THAT(refused(parts), AllOf(HasSubstr("'qwen2'"), HasSubstr("'llama' only")));
}

TEST(ModelVariants, VariantsOfLlamaAreRefusedByName) {
    EXPECT_THAT(with([](GgufWriter& w) { w.text("llama.rope.scaling.type", "yarn"); }),
                HasSubstr("'yarn': RoPE scaling"));
    EXPECT_THAT(with([](GgufWriter& w) { w.real("llama.rope.scaling.factor", 4); }),
                HasSubstr("RoPE scaling"));
    EXPECT_THAT(with([](GgufWriter& w) { w.real("llama.rope.scale_linear", 2); }),
                HasSubstr("RoPE scaling"));
    EXPECT_THAT(with([](GgufWriter& w) { w.u32("llama.rope.dimension_count", 4); }),
                HasSubstr("part of each head"));
    EXPECT_THAT(with([](GgufWriter& w) { w.u32("llama.expert_count", 8); }),
                HasSubstr("mixture of experts"));
    EXPECT_THAT(with([](GgufWriter& w) { w.u32("llama.attention.sliding_window", 4096); }),
                HasSubstr("sliding"));
    EXPECT_THAT(with([](GgufWriter& w) { w.boolean("llama.attention.causal", false); }),
                HasSubstr("causal mask"));
    EXPECT_THAT(with([](GgufWriter& w) { w.u32("llama.attention.value_length", 16); }),
                HasSubstr("value dimension"));
    EXPECT_EQ(with([](GgufWriter& w) {
                  w.text("llama.rope.scaling.type", "none");
                  w.u32("llama.expert_count", 0);
                  w.u32("llama.rope.dimension_count", 8);
              }),
              "");
}

TEST(ModelVariants, TensorsThatWouldBeLeftOutAreRefused) {
    for (char const* name : {"blk.0.attn_q.bias", "rope_freqs.weight", "blk.0.ffn_gate_inp.weight",
                             "blk.1.attn_q.weight"}) {
        EXPECT_THAT(with([&](GgufWriter& w) { w.tensor(name, {16}, 0, std::string(64, '\0')); }),
                    AllOf(HasSubstr(name), HasSubstr("does not use")));
    }
    EXPECT_THAT(with([&](GgufWriter& w) {
                    w.tensor("blk.0.attn_k.bias", {256}, 12, std::string(144, '\0'));
                }),
                HasSubstr("does not use"));
    EXPECT_EQ(with([&](GgufWriter& w) {
                  w.tensor("blk.0.attn_rot_embd.weight", {4}, 0, std::string(16, '\0'));
              }),
              "");
}

TEST(ModelVariants, ImpossibleConfigurationsAreRefused) {
    EXPECT_THAT(with_integer("llama.block_count", 0), HasSubstr("number of layers is 0"));
    EXPECT_THAT(with_integer("llama.block_count", 4'000'000'000),
                HasSubstr("number of layers is 4000000000"));
    EXPECT_THAT(with_integer("llama.attention.head_count", 0), HasSubstr("head_count is 0"));
    EXPECT_THAT(with_integer("llama.attention.head_count", 3),
                HasSubstr("no multiple of the 3 heads"));
    EXPECT_THAT(with_integer("llama.attention.head_count_kv", 0), HasSubstr("KV heads is 0"));
    EXPECT_THAT(with_integer("llama.attention.head_count_kv", 3),
                HasSubstr("cannot share 3 KV heads"));
    EXPECT_THAT(with_integer("llama.attention.head_count", 4),
                HasSubstr("the head dimension is 4"));
    EXPECT_THAT(with_integer("llama.vocab_size", 0), HasSubstr("vocabulary size is 0"));
    EXPECT_THAT(with([](GgufWriter& w) { w.u32("tokenizer.ggml.eos_token_id", 4); }),
                HasSubstr("end-of-sequence token is 4"));
    EXPECT_THAT(with([](GgufWriter& w) { w.texts("tokenizer.ggml.tokens", {"a"}); }),
                HasSubstr("lists 1 tokens"));
    EXPECT_THAT(with([](GgufWriter& w) { w.real("llama.rope.freq_base", 0); }),
                HasSubstr("RoPE base"));
}

TEST(ModelVariants, MissingAndMisshapenTensorsAreRefused) {
    Parts parts;
    auto const original = parts.tensor;
    parts.tensor = [&](GgufWriter& writer, std::string const& name,
                       std::vector<std::int64_t> const& shape) {
        if (name != "blk.0.ffn_up.weight") {
            original(writer, name, shape);
        }
    };
    EXPECT_THAT(refused(parts), HasSubstr("'blk.0.ffn_up.weight' is missing"));
    parts.tensor = [&](GgufWriter& writer, std::string const& name,
                       std::vector<std::int64_t> const& shape) {
        bool const changed = name == "blk.0.ffn_up.weight";
        original(writer, name, changed ? std::vector<std::int64_t>{shape[1], shape[0]} : shape);
    };
    EXPECT_THAT(refused(parts),
                AllOf(HasSubstr("has the shape [16, 24]"), HasSubstr("asks for [24, 16]")));
    parts.tensor = [&](GgufWriter& writer, std::string const& name,
                       std::vector<std::int64_t> const& shape) {
        if (name == "blk.0.attn_q.weight") {
            writer.tensor(name, {1, 256}, 14, std::string(210, '\0'));
        } else {
            original(writer, name, shape);
        }
    };
    EXPECT_THAT(
        refused(parts),
        HasSubstr("tensor 'blk.0.attn_q.weight' has type Q6_K, which longhaul does not read"));
    EXPECT_THAT(with_integer("llama.block_count", 2),
                HasSubstr("'blk.1.attn_norm.weight' is missing"));
}

TEST(ModelVariants, MinusOneMeansNoToken) {
    EXPECT_EQ(with([](GgufWriter& w) { w.u32("tokenizer.ggml.eos_token_id", 0xffffffff); }), "");
    EXPECT_EQ(
        with([](GgufWriter& w) { w.integer("tokenizer.ggml.bos_token_id", GgufType::i32, -1); }),
        "");
}

TEST(ModelVariants, EndingTokensAreCollected) {
    test::TinyModelSpec const spec;
    test::ScratchFolder const folder;
    std::string bytes = test::tiny_gguf_bytes(spec);
    // A second pair of the tiny model becomes an end-of-turn token: same length of key, so nothing moves.
    std::string const key = "tokenizer.ggml.bos_token_id";
    bytes.replace(bytes.find(key), key.size(), "tokenizer.ggml.eot_token_id");
    std::unique_ptr<ModelFile> const model = ModelFile::open(folder.put("model.gguf", bytes));
    EXPECT_EQ(model->config().eos_tokens, (std::vector<TokenId>{2, 1}));
    EXPECT_EQ(model->config().bos_token, -1);
    EXPECT_EQ(model->tokenizer().bos, -1);
}

}  // namespace
}  // namespace longhaul::io
