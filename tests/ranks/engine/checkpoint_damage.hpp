#pragma once

#include <filesystem>
#include <random>
#include <string>
#include <vector>

namespace longhaul::test {

/// Damages checkpoint folders in the ways disks, copies and users do.
class CheckpointDamage {
  public:
    /// `earlier`: an older state of the same checkpoint; `foreign`: one of other jobs with the same ids.
    CheckpointDamage(std::filesystem::path earlier, std::filesystem::path foreign)
        : earlier_(std::move(earlier)), foreign_(std::move(foreign)) {}

    /// Damages `folder` once; the same generator does the same. Returns what was done.
    [[nodiscard]] std::string apply(std::filesystem::path const& folder, std::mt19937_64& random);

    /// Whether what was done last leaves no trace that could be noticed: something that is not there any more.
    [[nodiscard]] bool traceless() const { return traceless_; }

  private:
    using Path = std::filesystem::path;
    [[nodiscard]] std::string change_bytes(Path const& file, std::mt19937_64& random) const;
    [[nodiscard]] std::string change_file(Path const& file, std::mt19937_64& random);
    [[nodiscard]] std::string mix(Path const& folder, std::mt19937_64& random);

    Path earlier_;
    Path foreign_;
    bool traceless_ = false;
};

/// Files below a folder in the order of their names; those whose names end so.
[[nodiscard]] std::vector<std::filesystem::path> files_below(std::filesystem::path const& folder,
                                                             std::string const& ending = "");

}  // namespace longhaul::test
