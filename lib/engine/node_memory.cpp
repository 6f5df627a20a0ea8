#include "engine/node_memory.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::engine {
namespace {

std::optional<std::int64_t> read_number(std::string const& path) {
    std::ifstream file(path);
    std::int64_t value = 0;
    if (file >> value) {
        return value;
    }
    return std::nullopt;
}

std::int64_t available_memory() {
    std::ifstream file("/proc/meminfo");
    std::string key;
    std::int64_t kib = 0;
    std::string unit;
    while (file >> key >> kib) {
        if (key == "MemAvailable:") {
            return kib * 1024;
        }
        std::getline(file, unit);
    }
    return std::int64_t{4} << 30;  // no /proc: assume a small machine
}

void lower(NodeMemory& memory, std::optional<std::int64_t> limit, char const* source) {
    if (limit && *limit > 0 && *limit < memory.bytes) {
        memory = {*limit, source};
    }
}

// What a group uses without the page cache that it would give back.
std::optional<std::int64_t> used_memory(std::string const& folder, char const* usage_file,
                                        std::string const& cache_field) {
    auto const used = read_number(folder + usage_file);
    std::ifstream stat(folder + "/memory.stat");
    std::string key;
    std::int64_t value = 0;
    while (used && stat >> key >> value) {
        if (key == cache_field) {
            return std::max<std::int64_t>(0, *used - value);
        }
    }
    return used;
}

// The process's own group and all above it may carry a limit.
void apply_cgroup_v2(NodeMemory& memory) {
    std::ifstream self("/proc/self/cgroup");
    std::string line;
    while (std::getline(self, line)) {
        if (!line.starts_with("0::")) {
            continue;
        }
        for (std::string path = line.substr(3);; path = path.substr(0, path.rfind('/'))) {
            std::string const folder = "/sys/fs/cgroup" + (path == "/" ? std::string() : path);
            auto const limit = read_number(folder + "/memory.max");
            auto const used = used_memory(folder, "/memory.current", "inactive_file");
            if (limit && used) {
                lower(memory, *limit - *used, "cgroup");
            }
            if (path.empty() || path == "/") {
                return;
            }
        }
    }
}

void apply_cgroup_v1(NodeMemory& memory) {
    std::string const root = "/sys/fs/cgroup/memory";
    std::ifstream self("/proc/self/cgroup");
    std::string line;
    std::vector<std::string> folders{root};
    while (std::getline(self, line)) {
        auto const controllers = line.find(":memory:");
        if (controllers == std::string::npos) {
            continue;
        }
        for (std::string path = line.substr(controllers + 8); !path.empty() && path != "/";
             path = path.substr(0, path.rfind('/'))) {
            folders.push_back(root + path);
        }
    }
    for (std::string const& folder : folders) {
        auto const limit = read_number(folder + "/memory.limit_in_bytes");
        auto const used = used_memory(folder, "/memory.usage_in_bytes", "total_inactive_file");
        if (limit && used) {
            lower(memory, *limit - *used, "cgroup");
        }
    }
}

void apply_slurm(NodeMemory& memory) {
    if (char const* const text = std::getenv("SLURM_MEM_PER_NODE")) {
        std::string_view const view(text);
        std::int64_t mib = 0;
        auto const parsed = std::from_chars(view.data(), view.data() + view.size(), mib);
        if (parsed.ec == std::errc{}) {
            lower(memory, mib << 20, "Slurm");
        }
    }
}

}  // namespace

NodeMemory node_memory() {
    NodeMemory memory{available_memory(), "free memory"};
    apply_cgroup_v2(memory);
    apply_cgroup_v1(memory);
    apply_slurm(memory);
    return memory;
}

}  // namespace longhaul::engine
