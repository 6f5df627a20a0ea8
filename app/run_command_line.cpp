#include "app/run_command_line.hpp"

#include "base/error.hpp"
#include "app/byte_size.hpp"
#include "app/duration.hpp"
#include "app/option_values.hpp"

#include <boost/program_options.hpp>

#include <charconv>
#include <map>
#include <sstream>

namespace longhaul::app {
namespace {

namespace po = boost::program_options;

constexpr char const* kUsage =
    R"(Usage: [mpirun -n N] longhaul run --model M --queue Q --output O [options]

Runs every job of the queue Q through the model M and appends one result per job to O/results.jsonl.
A run that was stopped is started again with the same command, on the same grid or another one: finished
jobs are skipped, others go on where they were saved. SIGUSR1 (to mpirun or any rank) or SIGTERM to a rank
saves and ends with code 75.
Without mpirun it runs as one rank. N = replicas x spp x kvp x tp.
)";

constexpr char const* kExamples = R"(
Examples:
  longhaul run --model models/smollm2-135m/model.gguf --queue inputs/demo.jsonl --output out
  mpirun -n 8 --oversubscribe longhaul run --model models/smollm2-135m/model.gguf --queue inputs/demo.jsonl \
      --output out --spp 2 --kvp 2 --tp 2
  zcat jobs.jsonl.gz | longhaul run --model M --queue - --output out --dtype f32 --deterministic

A job is one line of JSON:
  {"id":"a","kind":"document","path":"a.txt","prompt":"Summarise the text.","max_tokens":200}
  {"id":"b","kind":"text","text":"Once upon a time","temperature":0.8,"seed":7,"logprobs":5}
  {"id":"c","kind":"score","path":"a.txt"}
  {"id":"d","kind":"video_tokens","path":"clip.h5","prompt":"What happens in {video}?"}

Exit codes: 0 all jobs done, 1 some jobs failed, 2 set-up or usage, 3 a rank failed, 75 stopped early and saved.
)";

po::options_description describe_options() {
    po::options_description input("Input and output");
    input.add_options()  //
        ("model", po::value<std::string>(),
         "model: a .gguf file, or a folder with config.json and model.safetensors")  //
        ("random-weights", po::value<std::uint64_t>(),
         "seed: --model is a folder with a config.json, and the weights are made up, the same on "
         "every grid; for measurements. Without a tokenizer.json a text's tokens are its bytes")  //
        ("queue", po::value<std::string>(),
         "jobs as JSON lines; also .gz, or - for standard input")  //
        ("output", po::value<std::string>(),
         "folder for results.jsonl, run.json and state.json")                                //
        ("retry-errors", po::bool_switch(), "run jobs again that failed in an earlier run")  //
        ("quiet", po::bool_switch(), "print errors only");
    po::options_description grid("Process grid (left out: chosen and explained)");
    grid.add_options()  //
        ("replicas", po::value<std::int64_t>(),
         "copies of the model that work on different jobs")                             //
        ("spp", po::value<std::int64_t>(), "pipeline stages: layers split over ranks")  //
        ("kvp", po::value<std::int64_t>(),
         "KV-cache parallelism: one document's cache split over ranks")  //
        ("tp", po::value<std::int64_t>(),
         "tensor parallelism: heads and FFN columns split over ranks")  //
        ("kvp-weights", po::value<std::string>()->default_value("sharded"),
         "weights over kvp: sharded, replicated")  //
        ("kv-policy", po::value<std::string>()->default_value("auto"),
         "blocks of a sequence over kvp: auto, striped, single");
    po::options_description steps("Steps");
    steps.add_options()                                                                     //
        ("chunk", po::value<std::int64_t>()->default_value(512), "prompt tokens per step")  //
        ("max-batch", po::value<std::int64_t>()->default_value(8),
         "jobs that run together in a replica")  //
        ("block-slots", po::value<std::int64_t>()->default_value(128),
         "tokens per block of the KV cache")  //
        ("deterministic", po::bool_switch(),
         "the same bits for a job whatever else runs beside it; slower");
    po::options_description saving("Checkpoints");
    saving.add_options()  //
        ("checkpoint", po::value<std::string>(),
         "folder of the KV cache saved on the way; left out: OUTPUT/checkpoint")  //
        ("checkpoint-every", po::value<std::string>()->default_value("120s"),
         "how often: like 90s, 10m, 2h, 50000-tokens (computed by a replica), or off")  //
        ("checkpoint-buffer", po::value<std::string>(),
         "memory per rank for what waits to be written; left out: 256M, with a GPU 4G of the "
         "host, or a sixteenth of the rank's share of it if that is less")  //
        ("kv-store", po::value<std::string>(),
         "folder where the KV cache of finished documents is kept: a later run with other "
         "questions starts from it")                                                          //
        ("fresh", po::bool_switch(), "remove an old checkpoint instead of going on from it")  //
        ("time-limit", po::value<std::string>(),
         "save and end before so much time is over, like 3600s, 55m, or 1-12:00:00 as Slurm writes "
         "it");
    po::options_description machine("Machine");
    machine.add_options()  //
        ("dtype", po::value<std::string>()->default_value("bf16"),
         "weights, activations and KV cache: bf16, f32")  //
        ("threads", po::value<int>()->default_value(0),
         "threads per rank; 0: cores of the node / its ranks")  //
        ("kv-memory", po::value<std::string>(),
         "KV cache per rank, like 8G; left out: what memory allows")  //
        ("backend", po::value<std::string>()->default_value("auto"),
         "auto (a GPU where this build and this node have one, else cpu), cuda, cpu, or reference "
         "(slow, for checking)");
    po::options_description other("Other");
    other.add_options()                             //
        ("help,h", po::bool_switch(), "this text")  //
        ("inject-fault", po::value<std::string>(),
         "rehearse a failure: RANK:STEP makes that rank fail at that step, RANK:setup before the "
         "first; 0:before-result:N or 0:after-result:N kills rank 0 at its Nth result");
    po::options_description all;
    all.add(input).add(grid).add(steps).add(saving).add(machine).add(other);
    return all;
}

std::optional<std::int64_t> optional_number(po::variables_map const& values, char const* option) {
    return values.count(option) != 0 ? std::optional(values[option].as<std::int64_t>())
                                     : std::nullopt;
}

engine::CheckpointEvery parse_checkpoint_every(std::string const& text) {
    constexpr std::string_view kTokens = "-tokens";
    engine::CheckpointEvery every;
    if (text == "off") {
        every.seconds.reset();
    } else if (text.ends_with(kTokens)) {
        every.seconds.reset();
        std::int64_t tokens = 0;
        char const* const end = text.data() + text.size() - kTokens.size();
        auto const [stop, error] = std::from_chars(text.data(), end, tokens);
        LH_VALIDATE(error == std::errc{} && stop == end && tokens > 0,
                    "--checkpoint-every {}: write a number of tokens, like 50000-tokens", text);
        every.tokens = tokens;
    } else {
        every.seconds = parse_duration(text, "--checkpoint-every");
    }
    return every;
}

template <class T>
bool read_number(char const* begin, char const* end, T& value) {
    auto const [stop, error] = std::from_chars(begin, end, value);
    return error == std::errc{} && stop == end && value >= 0;
}

engine::FaultInjection parse_fault(std::string const& text) {
    using Place = engine::FaultInjection::Place;
    engine::FaultInjection fault;
    auto const colon = text.find(':');
    bool ok =
        colon != std::string::npos && read_number(text.data(), text.data() + colon, fault.rank);
    std::string const where = ok ? text.substr(colon + 1) : "";
    if (where != "setup") {
        std::string digits = where;
        fault.place = Place::step;
        for (auto const& [name, place] : {std::pair("before-result:", Place::before_result),
                                          std::pair("after-result:", Place::after_result)}) {
            if (where.starts_with(name)) {
                fault.place = place;
                digits.erase(0, std::string_view(name).size());
                ok = ok && fault.rank == 0;
            }
        }
        ok = ok && read_number(digits.data(), digits.data() + digits.size(), fault.number);
    }
    LH_VALIDATE(ok,
                "--inject-fault {}: write RANK:STEP, RANK:setup, 0:before-result:N or "
                "0:after-result:N",
                text);
    return fault;
}

std::string required(po::variables_map const& values, char const* option) {
    LH_VALIDATE(values.count(option) != 0, "--{} is missing; see `longhaul run --help`", option);
    return values[option].as<std::string>();
}

engine::RunOptions make_options(po::variables_map const& values) {
    engine::RunOptions options;
    options.model = required(values, "model");
    if (values.count("random-weights") != 0) {
        options.random_weights = values["random-weights"].as<std::uint64_t>();
    }
    options.queue = required(values, "queue");
    options.output = required(values, "output");
    options.replicas = optional_number(values, "replicas");
    options.spp = optional_number(values, "spp");
    options.kvp = optional_number(values, "kvp");
    options.tp = optional_number(values, "tp");
    options.chunk = values["chunk"].as<std::int64_t>();
    options.max_batch = values["max-batch"].as<std::int64_t>();
    options.block_slots = values["block-slots"].as<std::int64_t>();
    options.threads = values["threads"].as<int>();
    options.deterministic = values["deterministic"].as<bool>();
    options.retry_errors = values["retry-errors"].as<bool>();
    options.kv_policy = choose<schedule::KvPolicy>(values, "kv-policy",
                                                   {{"auto", schedule::KvPolicy::automatic},
                                                    {"striped", schedule::KvPolicy::striped},
                                                    {"single", schedule::KvPolicy::single}});
    options.kvp_weights =
        choose<model::WeightStorage>(values, "kvp-weights",
                                     {{"sharded", model::WeightStorage::sharded},
                                      {"replicated", model::WeightStorage::replicated}});
    options.dtype = choose<DType>(values, "dtype", {{"bf16", DType::bf16}, {"f32", DType::f32}});
    options.backend = choose_backend(values);
    if (values.count("kv-memory") != 0) {
        options.kv_bytes = parse_byte_size(values["kv-memory"].as<std::string>(), "--kv-memory");
    }
    if (values.count("checkpoint") != 0) {
        options.checkpoint = values["checkpoint"].as<std::string>();
    }
    options.checkpoint_every = parse_checkpoint_every(values["checkpoint-every"].as<std::string>());
    if (values.count("checkpoint-buffer") != 0) {
        options.checkpoint_buffer =
            parse_byte_size(values["checkpoint-buffer"].as<std::string>(), "--checkpoint-buffer");
    }
    if (values.count("kv-store") != 0) {
        options.kv_store = values["kv-store"].as<std::string>();
    }
    options.fresh = values["fresh"].as<bool>();
    if (values.count("time-limit") != 0) {
        options.time_limit_s =
            parse_duration(values["time-limit"].as<std::string>(), "--time-limit");
    }
    if (values.count("inject-fault") != 0) {
        options.inject_fault = parse_fault(values["inject-fault"].as<std::string>());
    }
    return options;
}

}  // namespace

std::string run_help() {
    std::ostringstream text;
    text << kUsage << describe_options() << kExamples;
    return text.str();
}

RunCommandLine parse_run_command_line(std::vector<std::string> const& words) {
    RunCommandLine command;
    po::variables_map values;
    try {
        po::command_line_parser parser(words);
        // Abbreviated options would make scripts break when an option is added.
        auto const style =
            po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
        po::options_description const options = describe_options();
        po::parsed_options const parsed = parser.options(options).style(style).run();
        refuse_bare_words(parsed, "run");
        po::store(parsed, values);
        po::notify(values);
    } catch (po::error const& error) {
        throw ValidationError(fmt::format("{}; see `longhaul run --help`", error.what()));
    }
    command.help = values["help"].as<bool>();
    if (!command.help) {
        command.quiet = values["quiet"].as<bool>();
        command.options = make_options(values);
    }
    return command;
}

}  // namespace longhaul::app
