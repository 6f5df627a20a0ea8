#include "kernels/attention.hpp"

#include "base/error.hpp"
#include "kernels/cuda/attention_device.hpp"
#include "kernels/cuda/attention_launch.hpp"
#include "kernels/cuda/attention_tensor_map.hpp"

#include <iterator>

namespace longhaul::kernels::cuda {
namespace {

void launch_hopper(AttentionView view, DeviceAttentionPlan const& plan, StreamView stream) {
    AttentionWorkList const& work = plan.work();
    if (work.num_blocks == 0) {
        return;
    }
    CUtensorMap const pool = pool_tensor_map(view, kHopperTileSlots, plan.mapped_blocks());
    view.tiles = plan.wide_tiles();
    view.cta_tiles = plan.wide_ctas();
    launch_attention_hopper(view, std::ssize(work.wide.cta_tiles) - 1, pool, stream);
    view.tiles = plan.narrow_tiles();
    view.cta_tiles = plan.narrow_ctas();
    launch_attention_decode(view, std::ssize(work.narrow.cta_tiles) - 1, pool, stream);
}

void launch_tiles(AttentionView view, DeviceAttentionPlan const& plan, StreamView stream) {
    view.tiles = plan.wide_tiles();
    auto const count = std::ssize(plan.work().wide.tiles);
    switch (plan.kernel()) {
        case AttentionKernel::plain_f32:
            launch_attention_plain(view, count, stream);
            break;
        case AttentionKernel::mma_bf16:
            launch_attention_mma(view, count, stream);
            break;
        case AttentionKernel::hopper:
            launch_hopper(view, plan, stream);
            break;
    }
}

}  // namespace

void attention(ExecContext const& exec, AttentionArgs const& args, AttentionPlan const& plan) {
    auto const& work = static_cast<DeviceAttentionPlan const&>(plan);
    LH_EXPECT(work.num_rows() == args.num_rows);
    AttentionView view = work.view();
    LH_EXPECT(view.num_heads == args.num_heads && view.key_dim == args.layout.key_dim &&
              view.value_dim == args.layout.value_dim);
    view.pool = args.pool;
    view.queries = args.queries;
    view.out = args.out;
    view.lse = args.lse;
    view.scale = args.scale;
    if (std::int64_t const bytes = work.scratch_bytes(); bytes > 0) {
        view.partial_out = static_cast<float*>(exec.gpu->scratch(bytes));
        view.partial_lse = view.partial_out + work.work().partial_rows * view.value_dim;
    }
    launch_tiles(view, work, exec.gpu->stream());
    launch_attention_combine(view, std::ssize(work.work().combine_rows),
                             work.kernel() == AttentionKernel::hopper, exec.gpu->stream());
}

}  // namespace longhaul::kernels::cuda
