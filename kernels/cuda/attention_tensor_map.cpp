#include "kernels/cuda/attention_tensor_map.hpp"

#include "base/error.hpp"
#include "device/cuda_check.cuh"

#include <cudaTypedefs.h>

#include <array>

namespace longhaul::kernels::cuda {
namespace {

/// From the driver that is loaded: the program need not be linked to it.
PFN_cuTensorMapEncodeTiled_v12000 encode_function() {
    static PFN_cuTensorMapEncodeTiled_v12000 const function = [] {
        void* found = nullptr;
        cudaDriverEntryPointQueryResult result{};
        LH_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000,
                                                 cudaEnableDefault, &result));
        LH_EXPECT(result == cudaDriverEntryPointSuccess);
        return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(found);
    }();
    return function;
}

}  // namespace

CUtensorMap pool_tensor_map(AttentionView const& view, std::int64_t block_slots,
                            std::int64_t num_blocks) {
    constexpr std::uint64_t kColumns = 64;
    auto const dim = static_cast<std::uint64_t>(view.key_dim);
    auto const slots = static_cast<std::uint64_t>(block_slots);
    auto const heads = static_cast<std::uint64_t>(view.num_heads / view.group);
    LH_EXPECT(dim % kColumns == 0 && view.key_dim == view.value_dim);
    std::array<cuuint64_t, 4> const sizes{kColumns, slots, dim / kColumns,
                                          static_cast<std::uint64_t>(num_blocks) * heads * 2};
    std::array<cuuint64_t, 3> const strides{2 * dim, 2 * kColumns, 2 * dim * slots};
    std::array<cuuint32_t, 4> const box{kColumns, static_cast<cuuint32_t>(slots),
                                        static_cast<cuuint32_t>(dim / kColumns), 1};
    std::array<cuuint32_t, 4> const steps{1, 1, 1, 1};
    CUtensorMap map;
    CUresult const status = encode_function()(
        &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, const_cast<std::byte*>(view.pool), sizes.data(),
        strides.data(), box.data(), steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE,
        CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    LH_EXPECT(status == CUDA_SUCCESS);
    return map;
}

}  // namespace longhaul::kernels::cuda
