// Writes a tiny random model for tests: make_tiny_model OUT [options]
#include "base/error.hpp"
#include "support/models/tiny_model.hpp"

#include <charconv>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>

namespace {

using longhaul::io::TensorType;
using longhaul::test::TinyModelSpec;

constexpr char const* kUsage =
    "make_tiny_model OUT.gguf|FOLDER [--layers N] [--heads N] [--kv-heads N] [--head-dim N] "
    "[--hidden N] [--ffn N]\n"
    "    [--vocab N] [--context N] [--seed N] [--type f32|f16|bf16|q4_0|q4_1|q8_0] [--untied] "
    "[--hf-folder]\n"
    "    [--nan]           a NaN in the last norm: all logits become NaN\n"
    "    [--nan-token ID]  a NaN in one token's embedding\n";

struct Request {
    TinyModelSpec spec;
    std::string out;
    bool folder = false;
};

template <class T>
T number(std::string_view option, std::string_view text) {
    T value{};
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    LH_VALIDATE(error == std::errc{} && end == text.data() + text.size() && value >= 0,
                "{} needs a number, not '{}'\n{}", option, text, kUsage);
    return value;
}

TensorType type_named(std::string_view text) {
    std::map<std::string_view, TensorType> const types{
        {"f32", TensorType::f32},   {"f16", TensorType::f16},   {"bf16", TensorType::bf16},
        {"q4_0", TensorType::q4_0}, {"q4_1", TensorType::q4_1}, {"q8_0", TensorType::q8_0}};
    auto const found = types.find(text);
    LH_VALIDATE(found != types.end(), "unknown type '{}'\n{}", text, kUsage);
    return found->second;
}

// Options that take a value; false for any other.
bool set_value(Request& request, std::string_view option, std::string_view text) {
    TinyModelSpec& spec = request.spec;
    std::map<std::string_view, std::int64_t*> const sizes{
        {"--layers", &spec.num_layers},     {"--heads", &spec.num_heads},
        {"--kv-heads", &spec.num_kv_heads}, {"--head-dim", &spec.head_dim},
        {"--hidden", &spec.hidden_dim},     {"--ffn", &spec.ffn_dim},
        {"--vocab", &spec.vocab_size},      {"--context", &spec.trained_context}};
    if (auto const size = sizes.find(option); size != sizes.end()) {
        *size->second = number<std::int64_t>(option, text);
    } else if (option == "--seed") {
        spec.seed = number<std::uint64_t>(option, text);
    } else if (option == "--nan-token") {
        spec.nan_token = number<longhaul::TokenId>(option, text);
    } else if (option == "--type") {
        spec.type = type_named(text);
    } else {
        return false;
    }
    return true;
}

Request parse(int argc, char** argv) {
    Request request;
    for (int i = 1; i < argc; ++i) {
        std::string_view const argument = argv[i];
        if (argument == "--untied") {
            request.spec.tied = false;
        } else if (argument == "--hf-folder") {
            request.folder = true;
        } else if (argument == "--nan") {
            request.spec.nan_norm = true;
        } else if (argument.starts_with("--")) {
            LH_VALIDATE(i + 1 < argc && set_value(request, argument, argv[i + 1]),
                        "unknown or incomplete option {}\n{}", argument, kUsage);
            ++i;
        } else {
            LH_VALIDATE(request.out.empty(), "more than one output\n{}", kUsage);
            request.out = argument;
        }
    }
    LH_VALIDATE(!request.out.empty(), "no output given\n{}", kUsage);
    LH_VALIDATE(request.spec.vocab_size >= 259, "--vocab must be at least 259");
    LH_VALIDATE(request.spec.nan_token < request.spec.vocab_size,
                "--nan-token must be below --vocab");
    return request;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        Request const request = parse(argc, argv);
        if (request.folder) {
            longhaul::test::write_safetensors_folder(request.spec, request.out);
        } else {
            longhaul::test::write_gguf(request.spec, request.out);
        }
    } catch (longhaul::ValidationError const& error) {
        std::fprintf(stderr, "make_tiny_model: %s\n", error.what());
        return 2;
    }
    return 0;
}
