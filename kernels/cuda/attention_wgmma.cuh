#pragma once

#include <cstdint>

/// Hopper's warpgroup-wide products of bf16 tiles with f32 accumulators (sm_90a). Device code.
/// Accumulators of 64 x n: warp w of the group has rows 16 w + lane / 4 and 8 further; c[4 i .. 4 i + 3] are columns
/// 8 i + 2 (lane % 4) and the next, of the first row, then of the second.
namespace longhaul::kernels::cuda {

__device__ inline void products_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void products_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until at most kPending committed groups are under way.
template <int kPending>
__device__ inline void products_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// The compiler may not move uses of these registers across this point.
template <int kCount>
__device__ inline void hold(float (&values)[kCount]) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
        asm volatile("" : "+f"(values[i])::"memory");
    }
}

/// Where a tile of 128-byte rows lies, in 128-byte swizzle. `leading` counts for tiles whose rows are the summed dimension:
/// bytes from one 64-column part to the next.
__device__ inline std::uint64_t tile_descriptor(std::uint32_t address, std::uint32_t leading) {
    constexpr std::uint64_t kEightRows = 1024 >> 4;
    constexpr std::uint64_t kSwizzle128 = 1;
    return static_cast<std::uint64_t>((address & 0x3FFFF) >> 4) |
           static_cast<std::uint64_t>(leading >> 4) << 16 | kEightRows << 32 | kSwizzle128 << 62;
}

// clang-format off
#define LH_ACC4(i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define LH_ACC16(i) LH_ACC4(i), LH_ACC4(i + 4), LH_ACC4(i + 8), LH_ACC4(i + 12)
#define LH_ACC32 LH_ACC16(0), LH_ACC16(16)
#define LH_ACC64 LH_ACC32, LH_ACC16(32), LH_ACC16(48)
#define LH_NAMES32 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define LH_NAMES64 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
// clang-format on

/// c [64 x 128] = (kAdd: c +) a b^T, a [64 x 16] and b [128 x 16] in shared memory, 16 their contiguous dimension.
template <bool kAdd>
__device__ inline void multiply_rows(float (&c)[64], std::uint64_t a, std::uint64_t b) {
    asm volatile(
        "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" LH_NAMES64
        "}, %64, %65, add, 1, 1, 0, 0;\n}\n"
        : LH_ACC64
        : "l"(a), "l"(b), "r"(kAdd ? 1 : 0));
}

/// c [64 x 2 kHalf] += a b, a [64 x 16] in registers, b [16 x 2 kHalf] in shared memory, its rows of columns contiguous.
__device__ inline void multiply_add_columns(float (&c)[64], std::uint32_t const (&a)[4],
                                            std::uint64_t b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" LH_NAMES64
                 "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 1;\n"
                 : LH_ACC64
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ inline void multiply_add_columns(float (&c)[32], std::uint32_t const (&a)[4],
                                            std::uint64_t b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" LH_NAMES32
                 "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 1;\n"
                 : LH_ACC32
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

#undef LH_ACC4
#undef LH_ACC16
#undef LH_ACC32
#undef LH_ACC64
#undef LH_NAMES32
#undef LH_NAMES64

}  // namespace longhaul::kernels::cuda
