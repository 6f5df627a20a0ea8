#pragma once

#include "comm/communicator.hpp"
#include "engine/run.hpp"
#include "support/engine/engine_case.hpp"
#include "support/engine/engine_results.hpp"
#include "support/engine/job_lines.hpp"
#include "support/models/tiny_model.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::test {

struct EngineOutcome {
    int exit_code = -1;
    EngineResults results;  ///< on world rank 0
};

/// Makes the observer of one rank; called on every rank before its run.
using ObserverOfRank = std::function<engine::RunObserver(int world_rank)>;

/// A folder of this process with one tiny model in it, in which queues are run. Removed with the object.
///
/// Over MPI every rank has one, and the files are those of world rank 0's.
class EngineRunner {
  public:
    explicit EngineRunner(TinyModelSpec const& model = {});
    /// The model's config.json alone, with random weights.
    EngineRunner(TinyModelSpec const& model, std::uint64_t random_weights);
    EngineRunner(EngineRunner const&) = delete;
    EngineRunner& operator=(EngineRunner const&) = delete;
    ~EngineRunner();

    /// Runs the jobs on loopback ranks of this process.
    [[nodiscard]] EngineOutcome run_on_loopback(EngineCase const& which,
                                                std::vector<JobLine> const& jobs,
                                                ObserverOfRank const& observer = {});
    /// The same with a queue that exists already, a pipe for instance.
    [[nodiscard]] EngineOutcome run_queue_on_loopback(EngineCase const& which,
                                                      std::filesystem::path const& queue,
                                                      ObserverOfRank const& observer = {});

    /// A queue file of its own for the jobs.
    [[nodiscard]] std::filesystem::path new_queue(std::vector<JobLine> const& jobs);
    /// Runs a queue on loopback ranks and keeps what it leaves in QUEUE.out for the next run.
    [[nodiscard]] EngineOutcome go_on_on_loopback(EngineCase const& which,
                                                  std::filesystem::path const& queue,
                                                  ObserverOfRank const& observer = {});

    /// Runs the jobs on the ranks of `world`. Collective; world.size() == which.ranks(); `jobs` are those of rank 0.
    [[nodiscard]] EngineOutcome run(comm::Communicator& world, EngineCase const& which,
                                    std::vector<JobLine> const& jobs,
                                    ObserverOfRank const& observer = {});

    [[nodiscard]] std::filesystem::path const& folder() const { return folder_; }

  private:
    [[nodiscard]] std::filesystem::path next_run(std::vector<JobLine> const& jobs);
    [[nodiscard]] int run_rank(comm::Communicator& world, EngineCase const& which,
                               std::filesystem::path const& queue,
                               std::filesystem::path const& output, ObserverOfRank const& observer);

    std::filesystem::path folder_;
    std::filesystem::path model_;
    std::optional<std::uint64_t> random_weights_;
    int runs_ = 0;
};

}  // namespace longhaul::test
