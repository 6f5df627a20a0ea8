#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::device {

struct GpuInfo {
    std::string name;
    std::int64_t memory_bytes = 0;
    int multiprocessors = 0;
    int capability = 0;  ///< 90 for sm_90
    std::array<std::uint8_t, 16>
        uuid{};  ///< the same in every process that sees this GPU, and no other GPU's
};

/// Whether this build has the CUDA toolkit in it.
[[nodiscard]] bool built_with_cuda();

/// GPUs this process can use; empty without a GPU, without a driver, or in a build without CUDA. Asked
/// for once.
[[nodiscard]] std::vector<GpuInfo> const& list_gpus();

/// One line for people: "no GPU", "built without CUDA", or what list_gpus() found.
[[nodiscard]] std::string describe_gpus();

}  // namespace longhaul::device
