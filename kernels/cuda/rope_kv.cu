#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/vector_access.cuh"

#include <algorithm>
#include <cmath>

namespace longhaul::kernels::cuda {
namespace {

constexpr int kMaxHeadDim = 256;
constexpr int kTableThreads = 128;

/// Passed by value: computed on the host by the CPU backend's expression, so that the angles are the same bits.
struct Frequencies {
    double values[kMaxHeadDim / 2];
};

__global__ void fill_table(std::int64_t const* positions, Frequencies frequencies, int half,
                           float* table) {
    std::int64_t const row = blockIdx.x;
    for (int i = static_cast<int>(threadIdx.x); i < half; i += kTableThreads) {
        double sine = 0.0;
        double cosine = 0.0;
        sincos(static_cast<double>(positions[row]) * frequencies.values[i], &sine, &cosine);
        float* const entry = table + 2 * (row * half + i);
        entry[0] = static_cast<float>(cosine);
        entry[1] = static_cast<float>(sine);
    }
}

struct RopeRows {
    KvLayout layout;
    std::byte* pool;
    void const* qkv;
    float const* table;
    KvSlot const* slots;
    void* queries;
    int num_heads;
};

/// What a thread holds of a head: kEach elements of the lower half and those they are rotated with.
template <int kEach>
struct HeadPiece {
    float low[kEach];
    float high[kEach];

    template <class In>
    __device__ void read(In const* head, int half, int i) {
        load<kEach>(head + i, low);
        load<kEach>(head + half + i, high);
    }
    __device__ void rotate(float const (&turn)[2 * kEach]) {
#pragma unroll
        for (int e = 0; e < kEach; ++e) {
            float const cosine = turn[2 * e];
            float const sine = turn[2 * e + 1];
            float const a = low[e];
            float const b = high[e];
            low[e] = a * cosine - b * sine;
            high[e] = b * cosine + a * sine;
        }
    }
    template <class Out>
    __device__ void write(void* head, int half, int i) const {
        store<kEach>(static_cast<Out*>(head) + i, low);
        store<kEach>(static_cast<Out*>(head) + half + i, high);
    }
};

/// Cosines and sines of kEach angles. A single pair may lie at any address.
template <int kPair>
__device__ void read_turn(float const* from, float (&turn)[kPair]) {
    if constexpr (kPair == 2) {
        turn[0] = from[0];
        turn[1] = from[1];
    } else {
        load<kPair>(from, turn);
    }
}

/// A block for a row; threadIdx.x is the place inside a head, threadIdx.y walks over the heads: Q, then K, then V. A bias or
/// a norm of the heads belongs between read and rotate.
template <int kEach, class In, class Out>
__global__ void rotate_and_write(RopeRows rows) {
    KvLayout const& layout = rows.layout;
    std::int64_t const row = blockIdx.x;
    int const dim = static_cast<int>(layout.key_dim);
    int const half = dim / 2;
    int const kv_heads = static_cast<int>(layout.num_kv_heads);
    int const all_heads = rows.num_heads + 2 * kv_heads;
    int const i = kEach * static_cast<int>(threadIdx.x);
    In const* const heads = static_cast<In const*>(rows.qkv) + row * all_heads * dim;
    KvSlot const target = rows.slots[row];
    std::byte* const block = rows.pool + target.block * layout.block_bytes();
    float turn[2 * kEach];
    read_turn(rows.table + row * dim + 2 * i, turn);
    // Another rank's entry: only its queries are wanted here.
    int const last = target.block < 0 ? rows.num_heads : all_heads;
    for (int head = static_cast<int>(threadIdx.y); head < last;
         head += static_cast<int>(blockDim.y)) {
        HeadPiece<kEach> piece;
        piece.read(heads + static_cast<std::int64_t>(head) * dim, half, i);
        int const kv_head = head - rows.num_heads;
        if (kv_head >= kv_heads) {
            piece.template write<Out>(
                block + layout.value_offset(kv_head - kv_heads, target.slot, 0), half, i);
            continue;
        }
        piece.rotate(turn);
        if (kv_head >= 0) {
            piece.template write<Out>(block + layout.key_offset(kv_head, target.slot, 0), half, i);
        } else {
            piece.template write<Out>(
                static_cast<Out*>(rows.queries) + (row * rows.num_heads + head) * dim, half, i);
        }
    }
}

template <int kEach, class In, class Out>
void launch(ExecContext const& exec, RopeRows const& rows, std::int64_t num_rows) {
    auto const across = static_cast<unsigned>(rows.layout.key_dim / 2 / kEach);
    std::int64_t const heads = rows.num_heads + 2 * rows.layout.num_kv_heads;
    auto const down = static_cast<unsigned>(std::min<std::int64_t>(heads, 256 / across));
    rotate_and_write<kEach, In, Out>
        <<<grid_size(num_rows), dim3(across, down), 0, stream_of(exec)>>>(rows);
}

}  // namespace

void rope_table(ExecContext const& exec, std::span<std::int64_t const> positions,
                std::int64_t head_dim, double theta, float* table) {
    LH_EXPECT(head_dim <= kMaxHeadDim);
    if (positions.empty()) {
        return;
    }
    Frequencies frequencies{};
    for (std::int64_t i = 0; i < head_dim / 2; ++i) {
        frequencies.values[i] = rope_frequency(theta, i, head_dim);
    }
    auto const half = static_cast<int>(head_dim / 2);
    fill_table<<<grid_size(static_cast<std::int64_t>(positions.size())),
                 threads_for(half, kTableThreads), 0, stream_of(exec)>>>(positions.data(),
                                                                         frequencies, half, table);
    LH_CUDA_LAUNCHED();
}

void rope_and_write_kv(ExecContext const& exec, RopeKvArgs const& args) {
    KvLayout const& layout = args.layout;
    LH_EXPECT(layout.packing == KvPacking::rows && layout.key_dim <= kMaxHeadDim);
    if (args.num_rows == 0) {
        return;
    }
    RopeRows const rows{layout,
                        args.pool,
                        args.qkv,
                        args.table,
                        args.slots.data(),
                        args.queries,
                        checked_cast<int>(args.num_heads)};
    bool const aligned = is_aligned(args.pool, 16) && is_aligned(args.qkv, 16) &&
                         is_aligned(args.table, 16) && is_aligned(args.queries, 16);
    with_element(args.qkv_dtype, [&](auto in) {
        with_element(layout.dtype, [&](auto out) {
            using In = decltype(in);
            using Out = decltype(out);
            if (aligned && layout.key_dim % 16 == 0) {
                launch<8, In, Out>(exec, rows, args.num_rows);
            } else if (aligned && layout.key_dim % 8 == 0) {
                launch<4, In, Out>(exec, rows, args.num_rows);
            } else {
                launch<1, In, Out>(exec, rows, args.num_rows);
            }
        });
    });
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
