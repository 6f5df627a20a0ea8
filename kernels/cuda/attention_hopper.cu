// Attention for prefill on Hopper (sm_90a): the copy engine brings KV tiles into a ring, warpgroups of 64 packed rows each
// multiply them with wgmma. A warpgroup issues the scores of a tile before the values of the one before it and takes the
// softmax while both are under way; the warpgroups take turns in issuing (ping-pong), so that one's softmax runs beside
// another's products. After Shah et al. 2024 (FlashAttention-3), arXiv:2407.08608.

#include "kernels/cuda/attention_hopper_consumer.cuh"
#include "kernels/cuda/attention_hopper_producer.cuh"
#include "kernels/cuda/attention_launch.hpp"
#include "kernels/cuda/attention_persistent.cuh"

namespace longhaul::kernels::cuda {
namespace {

template <int kDim>
__device__ void init_barriers(HopperShared<kDim>& shared) {
    constexpr int kConsumerWarps = HopperShape<kDim>::kConsumers * 4;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < kStages; ++stage) {
            barrier_init(&shared.keys_full[stage], 1);
            barrier_init(&shared.keys_empty[stage], kConsumerWarps);
            barrier_init(&shared.values_full[stage], 1);
            barrier_init(&shared.values_empty[stage], kConsumerWarps);
        }
        barrier_init(&shared.values_clean[0], kHelperWarps * 32);
        barrier_init(&shared.values_clean[1], kHelperWarps * 32);
        for (int buffer = 0; buffer < 2; ++buffer) {
            barrier_init(&shared.queries_full[buffer], kHelperWarps * 32);
            barrier_init(&shared.queries_empty[buffer], kConsumerWarps * 32);
        }
        for (Barrier& requested : shared.requested) {
            barrier_init(&requested, 1);
        }
        barrier_init_done();
    }
    __syncthreads();
}

template <int kDim>
__global__ void __launch_bounds__(HopperShape<kDim>::kThreads, 1)
    attend(AttentionView const view, __grid_constant__ CUtensorMap const map) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(1024)
        std::byte memory[];  // the swizzle counts from multiples of 1024
    auto& shared = *reinterpret_cast<HopperShared<kDim>*>(memory);
    init_barriers<kDim>(shared);
    if (threadIdx.x < kGroupThreads) {
        asm volatile(
            "setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(HopperShape<kDim>::kProducerRegisters));
        if (threadIdx.x == 0) {
            prefetch_map(&map);
            HopperFetch<kDim>(view, &map, shared).run();
        } else if (threadIdx.x >= 32) {
            HopperHelper<kDim>(view, shared).run();
        }
    } else {
        asm volatile(
            "setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(HopperShape<kDim>::kConsumerRegisters));
        HopperConsumer<kDim>(view, shared).run();
    }
#endif
}

template <int kDim>
void launch(AttentionView const& view, std::int64_t num_ctas, CUtensorMap const& pool,
            StreamView stream) {
    launch_persistent<sizeof(HopperShared<kDim>)>(&attend<kDim>, HopperShape<kDim>::kThreads, view,
                                                  num_ctas, pool, stream);
}

}  // namespace

void launch_attention_hopper(AttentionView const& view, std::int64_t num_ctas,
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
