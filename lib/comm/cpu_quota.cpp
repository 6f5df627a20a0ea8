#include "comm/cpu_quota.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>

namespace longhaul::comm {
namespace {

// "max" (version 2) and -1 (version 1) say that there is none.
std::optional<int> cores_of(std::istream& quota_text, std::istream& period_text) {
    std::int64_t quota = 0;
    std::int64_t period = 0;
    if (!(quota_text >> quota) || !(period_text >> period) || quota <= 0 || period <= 0) {
        return std::nullopt;
    }
    std::int64_t const cores = quota / period + (quota % period != 0 ? 1 : 0);
    return static_cast<int>(std::min<std::int64_t>(cores, std::numeric_limits<int>::max()));
}

}  // namespace

std::optional<int> cpu_quota(std::filesystem::path const& folder) {
    if (std::ifstream both(folder / "cpu.max"); both) {
        return cores_of(both, both);
    }
    std::ifstream quota(folder / "cpu/cpu.cfs_quota_us");
    std::ifstream period(folder / "cpu/cpu.cfs_period_us");
    return cores_of(quota, period);
}

}  // namespace longhaul::comm
