#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace longhaul::io {

struct KvVerifyReport {
    std::int64_t entries = 0;   ///< looked at
    std::int64_t segments = 0;  ///< read, each once
    std::int64_t bytes = 0;     ///< of keys and values that are sound
    std::vector<std::string> problems;
    std::vector<std::string> damaged;  ///< ids of the entries that lack anything
};

/// Reads every block of every segment that entries of any model name, and checks that the sound ones give each entry all
/// layers and KV heads of all its blocks. Takes no lock: entries that are pruned meanwhile are left out.
/// Errors      ValidationError: no store
[[nodiscard]] KvVerifyReport verify_kv_store(std::filesystem::path const& store);

}  // namespace longhaul::io
