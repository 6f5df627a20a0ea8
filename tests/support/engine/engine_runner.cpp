#include "support/engine/engine_runner.hpp"

#include "comm/loopback.hpp"

#include <unistd.h>
#include <atomic>
#include <span>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace longhaul::test {
namespace {

std::string broadcast_text(comm::Communicator& world, std::string text) {
    auto size = static_cast<std::int64_t>(text.size());
    world.broadcast(std::as_writable_bytes(std::span(&size, 1)), 0);
    text.resize(static_cast<std::size_t>(size));
    world.broadcast(std::as_writable_bytes(std::span(text.data(), text.size())), 0);
    return text;
}

comm::NodeInfo one_node(comm::Communicator& world) {
    comm::NodeInfo node;
    node.host = "localhost";
    node.local_rank = world.rank();
    node.local_size = world.size();
    node.cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    return node;
}

}  // namespace

EngineRunner::EngineRunner(TinyModelSpec const& model) {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "longhaul-engine-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
        throw std::runtime_error("no temporary folder " + pattern);
    }
    folder_ = pattern;
    model_ = folder_ / "model.gguf";
    write_gguf(model, model_);
}

EngineRunner::EngineRunner(TinyModelSpec const& model, std::uint64_t random_weights)
    : EngineRunner(model) {
    model_ = folder_ / "config-alone";
    std::filesystem::create_directory(model_);
    write_file(model_ / "config.json", tiny_config_json(model));
    random_weights_ = random_weights;
}

EngineRunner::~EngineRunner() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

std::filesystem::path EngineRunner::next_run(std::vector<JobLine> const& jobs) {
    std::filesystem::path run = folder_ / ("run" + std::to_string(runs_++));
    std::filesystem::create_directory(run);
    write_file(run / "queue.jsonl", queue_text(jobs));
    return run;
}

int EngineRunner::run_rank(comm::Communicator& world, EngineCase const& which,
                           std::filesystem::path const& queue, std::filesystem::path const& output,
                           ObserverOfRank const& observer) {
    engine::RunOptions options = which.options();
    options.model = model_;
    options.random_weights = random_weights_;
    options.queue = queue;
    options.output = output;
    return engine::run(world, one_node(world), options,
                       observer ? observer(world.rank()) : engine::RunObserver{});
}

EngineOutcome EngineRunner::run_on_loopback(EngineCase const& which,
                                            std::vector<JobLine> const& jobs,
                                            ObserverOfRank const& observer) {
    return run_queue_on_loopback(which, new_queue(jobs), observer);
}

std::filesystem::path EngineRunner::new_queue(std::vector<JobLine> const& jobs) {
    return next_run(jobs) / "queue.jsonl";
}

EngineOutcome EngineRunner::run_queue_on_loopback(EngineCase const& which,
                                                  std::filesystem::path const& queue,
                                                  ObserverOfRank const& observer) {
    EngineOutcome outcome = go_on_on_loopback(which, queue, observer);
    std::filesystem::remove_all(queue.string() + ".out");
    return outcome;
}

EngineOutcome EngineRunner::go_on_on_loopback(EngineCase const& which,
                                              std::filesystem::path const& queue,
                                              ObserverOfRank const& observer) {
    std::filesystem::path const output = queue.string() + ".out";
    EngineOutcome outcome;
    comm::run_loopback(which.ranks(), [&](comm::Communicator& world) {
        int const exit_code = run_rank(world, which, queue, output, observer);
        if (world.rank() == 0) {
            outcome.exit_code = exit_code;
        }
    });
    outcome.results = parse_results(output / "results.jsonl");
    return outcome;
}

EngineOutcome EngineRunner::run(comm::Communicator& world, EngineCase const& which,
                                std::vector<JobLine> const& jobs, ObserverOfRank const& observer) {
    bool const first = world.rank() == 0;
    std::filesystem::path const run =
        broadcast_text(world, first ? next_run(jobs).string() : std::string());
    std::filesystem::path const own_model =
        std::exchange(model_, broadcast_text(world, first ? model_.string() : std::string()));
    EngineOutcome outcome;
    outcome.exit_code = run_rank(world, which, run / "queue.jsonl", run / "out", observer);
    model_ = own_model;
    if (first) {
        outcome.results = parse_results(run / "out" / "results.jsonl");
        std::filesystem::remove_all(run);
    }
    return outcome;
}

}  // namespace longhaul::test
