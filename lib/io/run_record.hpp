#pragma once

#include "io/result.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::io {

/// Memory of one rank, as printed before a run.
struct RankMemory {
    std::int64_t weights_bytes = 0;
    std::int64_t kv_bytes = 0;
    std::int64_t workspace_bytes = 0;
};

/// What OUTPUT/run.json says about a run. Lists keep their order; names are free.
struct RunRecord {
    std::string version;  ///< of longhaul
    std::string model;
    std::string backend;
    std::string transport;
    std::string dtype;
    std::string started;  ///< UTC, ISO 8601
    std::string ended;
    int exit_code = 0;
    GridInfo grid;
    std::vector<std::pair<std::string, std::string>> options;
    std::vector<std::pair<std::string, std::string>> versions;  ///< of libraries and the compiler
    std::vector<std::pair<std::string, double>> timings_s;
    std::vector<std::pair<std::string, std::int64_t>> counters;
    std::vector<RankMemory> ranks;  ///< by world rank
};

/// For OutputDir::write_run_record.
[[nodiscard]] std::string to_json(RunRecord const& record);

}  // namespace longhaul::io
