#include "device/cuda_check.cuh"
#include "device/native.hpp"

#include <cmath>
#include <cstdint>

namespace longhaul::device::native {
namespace {

__device__ std::uint64_t now() {
    std::uint64_t nanoseconds;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(nanoseconds));
    return nanoseconds;
}

// One thread: what a transfer leaves to the other processors is left here, too.
__global__ void delay_kernel(std::uint64_t nanoseconds) {
    std::uint64_t const begin = now();
    while (now() - begin < nanoseconds) {
        __nanosleep(200);
    }
}

}  // namespace

void delay(double seconds, StreamView stream) {
    auto const nanoseconds = static_cast<std::uint64_t>(std::llround(seconds * 1e9));
    delay_kernel<<<1, 1, 0, static_cast<cudaStream_t>(stream.native)>>>(nanoseconds);
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::device::native
