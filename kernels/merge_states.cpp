#include "kernels/merge_states.hpp"

#include "base/error.hpp"
#include "kernels/cpu/merge_states.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/reference/merge_states.hpp"

namespace longhaul::kernels {

void merge_states(ExecContext const& exec, MergeArgs const& args) {
    LH_EXPECT(args.num_rows >= 0 && args.width >= 0 && args.head_dim > 0);
    LH_EXPECT(args.first_element >= 0 && args.out_stride >= args.width);
    for (PartialState const& part : args.parts) {
        LH_EXPECT(part.out_stride >= args.width && part.lse_stride >= merge_heads(args));
    }
    switch (exec.backend) {
        case Backend::reference:
            reference::merge_states(args);
            break;
        case Backend::cpu:
            cpu::merge_states(exec, args);
            break;
        case Backend::cuda:
            cuda::merge_states(exec, args);
            break;
    }
}

}  // namespace longhaul::kernels
