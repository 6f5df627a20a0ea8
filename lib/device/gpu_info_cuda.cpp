#include "device/gpu_info.hpp"

#include "base/checked.hpp"

#include <cuda_runtime_api.h>

#include <cstring>

namespace longhaul::device {
namespace {

std::array<std::uint8_t, 16> uuid_of(cudaDeviceProp const& properties) {
    std::array<std::uint8_t, 16> uuid{};
    static_assert(sizeof(properties.uuid) == sizeof(uuid));
    std::memcpy(uuid.data(), &properties.uuid, sizeof(uuid));
    return uuid;
}

std::vector<GpuInfo> ask_driver() {
    std::vector<GpuInfo> gpus;
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) {
        return gpus;  // no driver or no GPU: not an error on a login node
    }
    for (int device = 0; device < count; ++device) {
        cudaDeviceProp properties{};
        if (cudaGetDeviceProperties(&properties, device) == cudaSuccess) {
            gpus.push_back({properties.name, checked_cast<std::int64_t>(properties.totalGlobalMem),
                            properties.multiProcessorCount,
                            properties.major * 10 + properties.minor, uuid_of(properties)});
        }
    }
    return gpus;
}

}  // namespace

std::vector<GpuInfo> const& list_gpus() {
    static std::vector<GpuInfo> const gpus = ask_driver();
    return gpus;
}

}  // namespace longhaul::device
