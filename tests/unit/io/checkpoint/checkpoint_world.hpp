#pragma once

#include "unit/io/checkpoint/checkpoint_support.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace longhaul::io {

/// The process dies here.
struct Crash {};

/// File operations that stop for ever before, in the middle of or after the countdown-th one.
class CrashingChanges : public FolderChanges {
  public:
    enum class When { before, midway, after };

    void arm(std::int64_t operations, When when) {
        countdown_ = operations;
        when_ = when;
    }
    void disarm() { countdown_ = -1; }

    void write(std::filesystem::path const& path, std::string_view content) override;
    int remove(std::filesystem::path const& path) override;
    void sync(std::filesystem::path const& folder) override;

  private:
    [[nodiscard]] bool stops(When when);

    std::int64_t countdown_ = -1;
    When when_ = When::before;
};

/// Jobs, replicas and ranks around one checkpoint folder, with what the folder has to remember kept beside it.
class CheckpointWorld {
  public:
    explicit CheckpointWorld(std::uint64_t seed);

    /// Opens the folder, resumes, commits epochs and finishes jobs until the run crashes or is stopped.
    void live_through_a_run();
    /// A last run that ends all jobs.
    void complete();

  private:
    struct Epoch {
        Manifest manifest;
        std::vector<std::string> dropped;
    };
    struct Replica {
        std::set<std::string> jobs;
        std::int64_t epoch = 0;
        std::vector<KvSegmentInfo> segments;  // live, of this run and of those resumed from
        std::optional<Epoch> collected;       // on its way to the folder
    };

    void start();
    void run_until_end();
    void take_up_job(Replica& replica);
    void collect(std::int64_t number);
    void commit(std::int64_t number);
    void finish_job();
    void check();
    void check_files();
    void write_segments(std::int64_t number, std::vector<std::string>& dropped);
    [[nodiscard]] std::set<std::string> in_flight() const;
    [[nodiscard]] std::vector<std::string> jobs_without_result() const;

    std::mt19937_64 random_;
    ScratchFolder scratch_;
    std::filesystem::path folder_ = scratch_ / "checkpoint";
    CrashingChanges changes_;

    // The truth.
    std::set<std::string> jobs_;
    std::set<std::string> results_;          // durable result lines
    std::map<EpochId, Manifest> committed_;  // every manifest that was ever whole on the disk
    std::optional<Manifest> committing_;     // may be on the disk or not

    // This run.
    std::unique_ptr<CheckpointDir> dir_;
    std::vector<Replica> replicas_;
    std::set<std::string> waiting_;   // not yet taken up by a replica
    std::set<std::string> at_start_;  // segments that earlier runs left for this one
    std::int64_t next_segment_ = 0;
    std::int64_t last_run_ = 0;
};

}  // namespace longhaul::io
