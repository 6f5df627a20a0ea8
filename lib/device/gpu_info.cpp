#include "device/gpu_info.hpp"

#include <fmt/format.h>

namespace longhaul::device {

#ifdef LONGHAUL_HAVE_CUDA
bool built_with_cuda() { return true; }
#else
bool built_with_cuda() { return false; }

std::vector<GpuInfo> const& list_gpus() {
    static std::vector<GpuInfo> const none;
    return none;
}
#endif

std::string describe_gpus() {
    if (!built_with_cuda()) {
        return "built without CUDA";
    }
    std::string text;
    for (GpuInfo const& gpu : list_gpus()) {
        constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
        text += fmt::format("{}{} ({:.0f} GiB, {} SMs, sm_{})", text.empty() ? "" : ", ", gpu.name,
                            static_cast<double>(gpu.memory_bytes) / kGiB, gpu.multiprocessors,
                            gpu.capability);
    }
    return text.empty() ? "no GPU" : text;
}

}  // namespace longhaul::device
