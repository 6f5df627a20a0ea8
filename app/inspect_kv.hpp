#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::app {

/// What `longhaul inspect kv` is asked for.
struct KvInspection {
    std::filesystem::path folder;
    bool json = false;
    bool verify = false;
    std::optional<std::int64_t> prune_bytes;
    std::optional<double> prune_age_s;
    bool prune_damaged = false;
    std::optional<std::filesystem::path> master;

    [[nodiscard]] bool prunes() const { return prune_bytes || prune_age_s || prune_damaged; }
};

/// `longhaul inspect kv DIR ...` without the words `inspect kv`: lists a KV store or a checkpoint folder, verifies it, prunes
/// a store. Needs neither a model nor MPI.
/// Returns     0 when all is well, 1 when damage was found
/// Errors      ValidationError: wrong words, or the folder is neither
[[nodiscard]] int inspect_kv(std::vector<std::string> const& words, std::ostream& out);

/// The two kinds of folder.
[[nodiscard]] int inspect_kv_store(KvInspection const& asked, std::ostream& out);
[[nodiscard]] int inspect_checkpoint(KvInspection const& asked, std::ostream& out);

}  // namespace longhaul::app
