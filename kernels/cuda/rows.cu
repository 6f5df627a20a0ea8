#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector_access.cuh"

namespace longhaul::kernels::cuda {
namespace {

struct RowMoves {
    float const* from;
    std::int64_t from_stride;
    std::int32_t const* from_rows;
    float* to;
    std::int64_t to_stride;
    std::int32_t const* to_rows;
    int width;
};

/// A block for a row.
template <int kEach>
__global__ void move_rows(RowMoves moves) {
    std::int64_t const i = blockIdx.x;
    float const* const from =
        moves.from + (moves.from_rows != nullptr ? moves.from_rows[i] : i) * moves.from_stride;
    float* const to =
        moves.to + (moves.to_rows != nullptr ? moves.to_rows[i] : i) * moves.to_stride;
    int const step = kEach * static_cast<int>(blockDim.x);
    for (int e = kEach * static_cast<int>(threadIdx.x); e < moves.width; e += step) {
        float values[kEach];
        load<kEach>(from + e, values);
        store<kEach>(to + e, values);
    }
}

}  // namespace

void copy_rows(ExecContext const& exec, CopyRowsArgs const& args) {
    RowMoves const moves{args.from,
                         args.from_stride,
                         args.from_rows.empty() ? nullptr : args.from_rows.data(),
                         args.to,
                         args.to_stride,
                         args.to_rows.empty() ? nullptr : args.to_rows.data(),
                         checked_cast<int>(args.width)};
    bool const vectors = args.width % 4 == 0 && args.from_stride % 4 == 0 &&
                         args.to_stride % 4 == 0 && is_aligned(args.from, 16) &&
                         is_aligned(args.to, 16);
    unsigned const blocks = grid_size(args.num_rows);
    if (vectors) {
        move_rows<4><<<blocks, threads_for(args.width / 4, 256), 0, stream_of(exec)>>>(moves);
    } else {
        move_rows<1><<<blocks, threads_for(args.width, 256), 0, stream_of(exec)>>>(moves);
    }
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
