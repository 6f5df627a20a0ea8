#pragma once

#include <cuda_runtime_api.h>

// For lib/device and kernels/cuda: compiles only in a build with CUDA.
namespace longhaul::device {

/// Throws DeviceError (OutOfDeviceMemory) naming the call unless `status` is cudaSuccess.
void check_cuda(cudaError_t status, char const* call, char const* file, int line);

}  // namespace longhaul::device

#define LH_CUDA(call) ::longhaul::device::check_cuda((call), #call, __FILE__, __LINE__)
/// After a launch: a configuration that the GPU refuses shows here, a fault inside the kernel at the next synchronisation.
#define LH_CUDA_LAUNCHED() LH_CUDA(cudaGetLastError())
