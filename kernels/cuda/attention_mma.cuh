#pragma once

#include "kernels/cuda/vector_access.cuh"

#include <cstdint>

/// Tensor core instructions of sm_80 for 16 x 8 x 16 tiles of bf16, and the loads that feed them. Device code.
namespace longhaul::kernels::cuda {

/// 16 bytes to shared memory; zeros where !filled. Asynchronous: copies_commit, copies_wait.
__device__ inline void copy_16(void* shared, void const* global, bool filled) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(global), "r"(filled ? 16 : 0));
}
__device__ inline void copies_commit() { asm volatile("cp.async.commit_group;"); }
__device__ inline void copies_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }

__device__ inline void load_matrices(std::uint32_t (&r)[4], std::uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}
__device__ inline void load_matrices_transposed(std::uint32_t (&r)[4], std::uint32_t address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

/// c += a b. Lane l has rows l / 4 and l / 4 + 8 of c, columns 2 (l % 4) and the next: c[0..1], c[2..3].
__device__ inline void multiply_add(float (&c)[4], std::uint32_t const (&a)[4], std::uint32_t b0,
                                    std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline float exp2_approx(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

}  // namespace longhaul::kernels::cuda
