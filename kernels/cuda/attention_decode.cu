// Attention for few query rows on Hopper: as many packed rows as one product of the small tensor-core instruction has, 16.
// There is next to nothing to compute, so all is arranged for memory: a ring of whole KV tiles filled by the copy engine,
// eight warps that take 16 slots of each tile with a running softmax of their own, and no barrier between them until a
// part of the KV is done; then they merge in a fixed order.

#include "kernels/cuda/attention_decode.cuh"
#include "kernels/cuda/attention_launch.hpp"
#include "kernels/cuda/attention_persistent.cuh"

namespace longhaul::kernels::cuda {
namespace {

template <int kDim>
__global__ void __launch_bounds__(kDecodeThreads, 1)
    attend(AttentionView const view, __grid_constant__ CUtensorMap const map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(1024)
        std::byte memory[];  // the swizzle counts from multiples of 1024
    auto& shared = *reinterpret_cast<DecodeShared<kDim>*>(memory);
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < DecodeShared<kDim>::kStages; ++stage) {
            barrier_init(&shared.full[stage], 1);
            barrier_init(&shared.empty[stage], kDecodeWarps);
        }
        barrier_init_done();
    }
    __syncthreads();
    if (threadIdx.x >= kDecodeWarps * 32) {
        if (threadIdx.x % 32 == 0) {
            prefetch_map(&map);
            fetch_all<kDim>(view, &map, shared);
        }
    } else {
        DecodeWarp<kDim>(view, shared).run();
    }
#endif
}

template <int kDim>
void launch(AttentionView const& view, std::int64_t num_ctas, CUtensorMap const& pool,
            StreamView stream) {
    launch_persistent<sizeof(DecodeShared<kDim>)>(&attend<kDim>, kDecodeThreads, view, num_ctas,
                                                  pool, stream);
}

}  // namespace

void launch_attention_decode(AttentionView const& view, std::int64_t num_ctas,
                             CUtensorMap const& pool, StreamView stream) {
    if (num_ctas <= 0) {
        return;
    }
    if (view.key_dim == 64) {
        launch<64>(view, num_ctas, pool, stream);
    } else {
        launch<128>(view, num_ctas, pool, stream);
    }
}

}  // namespace longhaul::kernels::cuda
