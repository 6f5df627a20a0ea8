#include "app/bench_options.hpp"

#include "base/error.hpp"
#include "comm/cpu_quota.hpp"
#include "app/byte_size.hpp"
#include "app/option_values.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <string_view>
#include <thread>

namespace longhaul::app {
namespace {

namespace po = boost::program_options;

constexpr char const* kUsage =
    R"(Usage: longhaul bench attention|gemm|prefill|decode|step|comm [options]

How fast this machine computes what the engine computes, in one process. Times are medians; shares are of ceilings measured in
the same call: a large copy (on CPUs: reading), and a large square product.

  attention  queries against a history of keys and values: TFLOP/s, or TB/s of KV for up to 16 queries
  gemm       the linear layers of a model
  prefill    time to first token of a prompt, through the engine: chunks, all layers, one token
  decode     time between tokens of a batch behind a context
  step       a mixed step: a batch of decodes and one chunk of a prompt, both behind a context
  comm       messages between ranks, as the engine exchanges them: start it under mpirun

Numbers marked LIST may be several, like 4096,8192: every combination is a row.
)";

constexpr char const* kExamples = R"(
Examples:
  longhaul bench attention --heads 32/8 --head-dim 128 --queries 1,512,4096 --context 131072
  longhaul bench gemm --model inputs/geometries/llama-3-8b --rows 1,16,4096
  longhaul bench prefill --model inputs/geometries/llama-3-8b --random-weights 1 --tokens 32768 --chunk 4096
  longhaul bench decode --model inputs/geometries/llama-3-8b --random-weights 1 --context 131072 --kv random
  longhaul bench prefill --model inputs/geometries/llama-3-8b --random-weights 1 --tokens 1000000 --chunk 8192 --grid 1x1x2 --as-rank 0
  longhaul bench step --model models/smollm2-135m/model.gguf --context 4096 --batch 4 --chunk 256 --backend cpu
  mpirun -n 2 longhaul bench comm --bytes 8K,1M,32M

FLOPs of prefill: 2 x weights of all layers x tokens, 2 x LM head for the one token, and 4 x heads x head_dim x layers for every
pair of a token and one that it sees (the causal half). Bytes of decode: all of these weights, and the batch's keys and values.
Rates of comm: bytes / time, and on the bus of n ranks that times 2 (n-1)/n for all_reduce_sum, (n-1)/n for all_to_all and
all_gather, 1 for broadcast and send_recv (one way, between ranks 0 and 1). Bytes are those of the whole message, all pieces
together, rounded up to 16 a rank. The slowest rank's time counts.

With --grid, this process computes what rank --as-rank of the grid SPPxKVPxTP would: its layers, heads, blocks of the KV cache
and slices of the weights are real; messages take the modelled time, and peers are taken to be equally busy. FLOPs and bytes are
those of the rank. With several stages, TTFT adds the last whole chunk once for every other stage, TBT counts each stage: both
take all stages to be as slow as this one. Such rows say "emulated".

Parts (attention_ms, linear_ms, ...) are means of a step, messages with their waits. On a GPU, marks in its stream tell them, in
steps apart; gaps_ms is what they leave of a step without marks: no work for the GPU, and the noise of both, so it may be negative.
)";

po::options_description describe() {
    po::options_description common("Everywhere");
    common.add_options()  //
        ("backend", po::value<std::string>()->default_value("auto"),
         "auto (a GPU where there is one, else cpu), cuda, cpu")                                  //
        ("dtype", po::value<std::string>()->default_value("bf16"), "bf16, f32")                   //
        ("threads", po::value<int>()->default_value(0), "0: all cores")                           //
        ("repeat", po::value<int>()->default_value(7), "calls, or prompts, that a median is of")  //
        ("json", po::value<std::string>(), "write the figures to this file, too")                 //
        ("help,h", po::bool_switch(), "this text");
    po::options_description attention("attention");
    attention.add_options()                                                                       //
        ("heads", po::value<std::string>()->default_value("32/8"), "query heads / KV heads")      //
        ("head-dim", po::value<std::int64_t>()->default_value(128), "a multiple of 8 up to 256")  //
        ("queries", po::value<std::string>()->default_value("512"), "LIST of query rows");
    po::options_description model("gemm, prefill, decode, step");
    model.add_options()                                                                          //
        ("model", po::value<std::string>(), "as of `longhaul run`; gemm takes its shape alone")  //
        ("random-weights", po::value<std::uint64_t>(),
         "seed: --model is a folder with a config.json")                                          //
        ("rows", po::value<std::string>()->default_value("1,512"), "LIST of rows (gemm)")         //
        ("tokens", po::value<std::string>()->default_value("4096"), "LIST of prompts (prefill)")  //
        ("context", po::value<std::string>()->default_value("4096"),
         "LIST of tokens before the queries (attention), the decodes, the step")                  //
        ("chunk", po::value<std::int64_t>()->default_value(512), "prompt tokens per step")        //
        ("batch", po::value<std::int64_t>()->default_value(1), "sequences that decode together")  //
        ("steps", po::value<std::int64_t>()->default_value(32), "steps that a median is of")      //
        ("kv", po::value<std::string>()->default_value("prefill"),
         "what decodes see: prefill (of random tokens), or random (numbers, at once)")  //
        ("block-slots", po::value<std::int64_t>()->default_value(128),
         "tokens per block of the KV cache")  //
        ("parts", po::bool_switch(),
         "prefill: where the time goes, in one more prompt (decode and step always say it)")  //
        ("grid", po::value<std::string>(),
         "SPPxKVPxTP: measure one rank's share of this grid, its peers modelled")          //
        ("as-rank", po::value<std::int64_t>()->default_value(0), "which rank of --grid")   //
        ("latency-us", po::value<double>()->default_value(15.0), "of a modelled message")  //
        ("bandwidth-gbps", po::value<double>()->default_value(300.0),
         "GB/s of a modelled message, each way");
    po::options_description messages("comm");
    messages.add_options()  //
        ("bytes", po::value<std::string>()->default_value("8K,1M,32M"), "LIST of message sizes");
    po::options_description all;
    all.add(common).add(attention).add(model).add(messages);
    return all;
}

std::int64_t number(std::string_view text, std::string const& option, std::int64_t least,
                    std::int64_t most) {
    std::int64_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    LH_VALIDATE(
        error == std::errc{} && end == text.data() + text.size() && value >= least && value <= most,
        "--{} {}: write whole numbers from {} to {}", option, text, least, most);
    return value;
}

std::vector<std::int64_t> numbers(po::variables_map const& values, std::string const& option,
                                  std::int64_t least, std::int64_t most) {
    std::string const& text = values[option].as<std::string>();
    std::vector<std::int64_t> list;
    for (std::size_t begin = 0; begin <= text.size();) {
        std::size_t const end = std::min(text.find(',', begin), text.size());
        list.push_back(
            number(std::string_view(text).substr(begin, end - begin), option, least, most));
        begin = end + 1;
    }
    return list;
}

std::vector<std::int64_t> byte_sizes(po::variables_map const& values, std::string const& option,
                                     std::int64_t most) {
    std::vector<std::int64_t> list;
    std::istringstream text(values[option].as<std::string>() + ",");
    for (std::string part; std::getline(text, part, ',');) {
        list.push_back(parse_byte_size(part, "--" + option));
        LH_VALIDATE(list.back() <= most, "--{} {}: too large; use at most {}G", option, part,
                    most >> 30);
    }
    return list;
}

std::int64_t number_of(po::variables_map const& values, std::string const& option,
                       std::int64_t least, std::int64_t most) {
    return number(std::to_string(values[option].as<std::int64_t>()), option, least, most);
}

void take_heads(po::variables_map const& values, BenchOptions& options) {
    std::string const& text = values["heads"].as<std::string>();
    std::size_t const slash = std::min(text.find('/'), text.size());
    options.num_heads = number(std::string_view(text).substr(0, slash), "heads", 1, 1024);
    options.num_kv_heads = slash == text.size()
                               ? options.num_heads
                               : number(std::string_view(text).substr(slash + 1), "heads", 1, 1024);
    LH_VALIDATE(options.num_heads % options.num_kv_heads == 0,
                "--heads {}: KV heads must divide query heads", text);
    options.head_dim = number_of(values, "head-dim", 8, 256);
    LH_VALIDATE(options.head_dim % 8 == 0, "--head-dim {}: use a multiple of 8", options.head_dim);
}

void take_model(po::variables_map const& values, BenchOptions& options) {
    LH_VALIDATE(values.count("model") != 0, "--model is missing; see `longhaul bench --help`");
    options.model = values["model"].as<std::string>();
    if (values.count("random-weights") != 0) {
        options.random_weights = values["random-weights"].as<std::uint64_t>();
    }
}

double positive(po::variables_map const& values, std::string const& option) {
    auto const value = values[option].as<double>();
    LH_VALIDATE(value > 0.0 && value < 1e9, "--{} {}: write a number greater than 0", option,
                value);
    return value;
}

/// Options of the engine's measurements change nothing elsewhere; whoever gives them means something else.
void refuse_options_without_effect(std::string const& what, po::variables_map const& values) {
    auto const given = [&](char const* option) {
        return values.count(option) != 0 && !values[option].defaulted();
    };
    bool const engine = what == "prefill" || what == "decode" || what == "step";
    for (char const* const option : {"grid", "as-rank", "latency-us", "bandwidth-gbps"}) {
        LH_VALIDATE(engine || !given(option), "--{} is for prefill, decode and step, not for {}",
                    option, what);
        LH_VALIDATE(given("grid") || !given(option), "--{} needs --grid, like --grid 1x1x2",
                    option);
    }
    LH_VALIDATE(engine || !given("parts"), "--parts is for prefill, decode and step, not for {}",
                what);
    LH_VALIDATE(what == "comm" || !given("bytes"), "--bytes is for comm, not for {}", what);
}

void take_grid(po::variables_map const& values, BenchOptions& options) {
    if (values.count("grid") == 0) {
        return;
    }
    auto const& text = values["grid"].as<std::string>();
    std::vector<std::int64_t> extents;
    for (std::size_t begin = 0; begin <= text.size();) {
        std::size_t const end = std::min(text.find('x', begin), text.size());
        extents.push_back(
            number(std::string_view(text).substr(begin, end - begin), "grid", 1, 4096));
        begin = end + 1;
    }
    LH_VALIDATE(extents.size() == 3, "--grid {}: write stages x KVP x TP, like 2x1x4", text);
    engine::EmulatedRank emulated;
    emulated.grid = {1, extents[0], extents[1], extents[2]};
    emulated.rank = number_of(values, "as-rank", 0, emulated.grid.product() - 1);
    emulated.link = {positive(values, "latency-us") * 1e-6,
                     positive(values, "bandwidth-gbps") * 1e9};
    options.emulated = emulated;
}

BenchOptions make(std::string const& what, po::variables_map const& values) {
    constexpr std::int64_t kMost = std::int64_t{1} << 31;
    BenchOptions options;
    options.what = what;
    options.backend = choose_backend(values);
    LH_VALIDATE(options.backend != kernels::Backend::reference,
                "--backend reference is for checking, not for measuring; use auto, cuda or cpu");
    options.dtype = choose<DType>(values, "dtype", {{"bf16", DType::bf16}, {"f32", DType::f32}});
    auto const cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    options.threads =
        static_cast<int>(number(std::to_string(values["threads"].as<int>()), "threads", 0, 1024));
    if (options.threads == 0) {
        options.threads = std::min(cores, comm::cpu_quota().value_or(cores));
    }
    options.repeat =
        static_cast<int>(number(std::to_string(values["repeat"].as<int>()), "repeat", 1, 10000));
    take_heads(values, options);
    options.queries = numbers(values, "queries", 1, kMost);
    options.context = numbers(values, "context", 1, kMost);
    options.rows = numbers(values, "rows", 1, 1 << 20);
    options.tokens = numbers(values, "tokens", 1, kMost);
    options.chunk = number_of(values, "chunk", 1, 65536);
    options.batch = number_of(values, "batch", 1, 4096);
    options.steps = number_of(values, "steps", 1, 1 << 20);
    options.block_slots = number_of(values, "block-slots", 16, 1024);
    LH_VALIDATE(options.block_slots % 16 == 0, "--block-slots {}: use a multiple of 16",
                options.block_slots);
    options.random_kv = choose<bool>(values, "kv", {{"prefill", false}, {"random", true}});
    refuse_options_without_effect(what, values);
    options.parts = values["parts"].as<bool>();
    options.bytes = byte_sizes(values, "bytes", std::int64_t{64} << 30);
    if (what != "attention" && what != "comm") {
        take_model(values, options);
        take_grid(values, options);
    }
    if (values.count("json") != 0) {
        options.json = values["json"].as<std::string>();
    }
    return options;
}

}  // namespace

std::string bench_help() {
    std::ostringstream text;
    text << kUsage << describe() << kExamples;
    return text.str();
}

std::optional<BenchOptions> parse_bench_options(std::vector<std::string> const& words) {
    auto const asks = [](std::string const& word) { return word == "--help" || word == "-h"; };
    if (std::any_of(words.begin(), words.end(), asks)) {
        return std::nullopt;
    }
    constexpr std::array<std::string_view, 6> kKinds{"attention", "gemm", "prefill",
                                                     "decode",    "step", "comm"};
    LH_VALIDATE(!words.empty() && std::find(kKinds.begin(), kKinds.end(), words[0]) != kKinds.end(),
                "bench measures attention, gemm, prefill, decode, step or comm, not '{}'; see "
                "`longhaul bench --help`",
                words.empty() ? "" : words[0]);
    po::variables_map values;
    try {
        po::command_line_parser parser(std::vector<std::string>(words.begin() + 1, words.end()));
        auto const style =
            po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
        po::options_description const options = describe();
        po::parsed_options const parsed = parser.options(options).style(style).run();
        refuse_bare_words(parsed, "bench");
        po::store(parsed, values);
        po::notify(values);
    } catch (po::error const& error) {
        throw ValidationError(fmt::format("{}; see `longhaul bench --help`", error.what()));
    }
    return make(words[0], values);
}

}  // namespace longhaul::app
