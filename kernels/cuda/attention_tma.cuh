#pragma once

#include "kernels/cuda/vector_access.cuh"

#include <cuda.h>

#include <cstdint>

/// Hopper's copy engine and its barriers in shared memory (sm_90). Device code.
namespace longhaul::kernels::cuda {

using Barrier = std::uint64_t;

__device__ inline void barrier_init(Barrier* barrier, std::uint32_t count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
                 "r"(count));
}

/// Makes initialised barriers known to the copy engine.
__device__ inline void barrier_init_done() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ inline void barrier_arrive(Barrier* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
                 : "memory");
}

/// Arrives, and the phase ends only once `bytes` have come by copies, too.
__device__ inline void barrier_expect(Barrier* barrier, std::uint32_t bytes) {
    asm volatile(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
        "r"(bytes)
        : "memory");
}

/// Waits for the end of the phase of this parity.
__device__ inline void barrier_wait(Barrier* barrier, std::uint32_t parity) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@done bra finished;\n"
        "bra again;\n"
        "finished:\n"
        "}\n" ::"r"(shared_address(barrier)),
        "r"(parity)
        : "memory");
}

/// What this thread wrote to shared memory is seen by matrix units and copy engine after the next barrier.
__device__ inline void fence_for_async() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Fetches the box at (0, 0, 0, index) of a four-dimensional map.
__device__ inline void fetch_tile(void* shared, CUtensorMap const* map, std::int32_t index,
                                  Barrier* barrier) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, "
        "{%3, %3, %3, %4}], [%2];" ::"r"(shared_address(shared)),
        "l"(map), "r"(shared_address(barrier)), "r"(0), "r"(index)
        : "memory");
}

__device__ inline void prefetch_map(CUtensorMap const* map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/// A kernel that was launched to start early may do so from here on: nothing but this CTA's last tile is left.
__device__ inline void let_next_kernel_start() {
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

/// Among `kThreads` threads that name the same barrier.
template <int kThreads>
__device__ inline void named_sync(int name) {
    asm volatile("bar.sync %0, %1;" ::"r"(name), "n"(kThreads) : "memory");
}
template <int kThreads>
__device__ inline void named_arrive(int name) {
    asm volatile("bar.arrive %0, %1;" ::"r"(name), "n"(kThreads) : "memory");
}

}  // namespace longhaul::kernels::cuda
