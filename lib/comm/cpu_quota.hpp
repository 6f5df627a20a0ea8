#pragma once

#include <filesystem>
#include <optional>

namespace longhaul::comm {

/// Cores that the control group of this process grants, rounded up and at least 1; nothing where it sets no quota.
/// Containers are limited this way, which an affinity mask does not show.
[[nodiscard]] std::optional<int> cpu_quota(std::filesystem::path const& folder = "/sys/fs/cgroup");

}  // namespace longhaul::comm
