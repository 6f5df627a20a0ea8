// Attention in plain f32 arithmetic, without tensor cores, for any shape: slow, and as exact as the CPU's. Eight threads
// share a packed row.

#include "device/cuda_check.cuh"
#include "kernels/cuda/attention_detail.cuh"
#include "kernels/cuda/attention_launch.hpp"

#include <cmath>

namespace longhaul::kernels::cuda {
namespace {

constexpr int kRows = static_cast<int>(kPlainTileRows);
constexpr int kSlots = static_cast<int>(kPlainTileSlots);
constexpr int kLanes = 8;
constexpr int kThreads = kRows * kLanes;
constexpr int kSlotsOfLane = kSlots / kLanes;
constexpr int kMaxDimsOfLane = 256 / kLanes;

/// Rows of key_dim + 1 (value_dim + 1) floats: neighbours then lie in different banks.
struct Shared {
    std::int64_t thresholds[kSlots];
    float weights[kRows][kSlots + 1];
    float tiles[1];  ///< queries, keys, values
};

int shared_bytes(AttentionView const& view) {
    int const floats = (kRows + kSlots) * (view.key_dim + 1) + kSlots * (view.value_dim + 1);
    return static_cast<int>(sizeof(Shared)) + floats * static_cast<int>(sizeof(float));
}

class Tile {
  public:
    __device__ Tile(AttentionView const& view, AttentionTile const& tile, Shared& shared)
        : view_(view),
          tile_(tile),
          shared_(shared),
          queries_(shared.tiles),
          keys_(queries_ + kRows * (view.key_dim + 1)),
          values_(keys_ + kSlots * (view.key_dim + 1)),
          row_(static_cast<int>(threadIdx.x) / kLanes),
          lane_(static_cast<int>(threadIdx.x) % kLanes) {}

    __device__ void run() {
        load_queries();
        for (int j = 0; j < tile_.num_kv_tiles; ++j) {
            __syncthreads();
            load_tile(j);
            __syncthreads();
            score();
            add_values();
        }
        store();
    }

  private:
    __device__ void load_queries() {
        auto const* queries = static_cast<float const*>(view_.queries);
        for (int i = static_cast<int>(threadIdx.x); i < kRows * view_.key_dim; i += kThreads) {
            int const row = i / view_.key_dim;
            int const dim = i % view_.key_dim;
            float value = 0.0F;
            if (row < tile_.packed_rows) {
                PackedRow const at = packed_row(view_, tile_, row);
                value = queries[(at.row * view_.num_heads + at.head) * view_.key_dim + dim];
            }
            queries_[row * (view_.key_dim + 1) + dim] = value;
        }
        visible_ = row_ < tile_.packed_rows ? packed_row(view_, tile_, row_).visible : kSeesAll;
    }

    __device__ KvPiece piece_of(int kv_tile, int slot) const {
        std::int64_t const pieces = kSlots / view_.piece_slots;
        return view_.pieces[tile_.first_piece + kv_tile * pieces + slot / view_.piece_slots];
    }

    __device__ void load_tile(int kv_tile) {
        for (int slot = static_cast<int>(threadIdx.x) / 32; slot < kSlots; slot += kThreads / 32) {
            KvPiece const piece = piece_of(kv_tile, slot);
            int const in_piece = slot % view_.piece_slots;
            PieceTiles const from = piece_tiles(view_, piece, tile_.kv_head, sizeof(float));
            auto const* keys = reinterpret_cast<float const*>(from.keys) + in_piece * view_.key_dim;
            auto const* values =
                reinterpret_cast<float const*>(from.values) + in_piece * view_.value_dim;
            for (int dim = static_cast<int>(threadIdx.x) % 32; dim < view_.key_dim; dim += 32) {
                keys_[slot * (view_.key_dim + 1) + dim] = keys[dim];
            }
            for (int dim = static_cast<int>(threadIdx.x) % 32; dim < view_.value_dim; dim += 32) {
                values_[slot * (view_.value_dim + 1) + dim] = values[dim];
            }
            if (threadIdx.x % 32 == 0) {
                shared_.thresholds[slot] = threshold(piece, in_piece);
            }
        }
    }

    /// Scores of this row and the softmax's step. A slot that weighs nothing gets a negative weight: add_values() leaves it
    /// out, whatever its value is.
    __device__ void score() {
        float scores[kSlotsOfLane];
        float largest = largest_;
#pragma unroll
        for (int i = 0; i < kSlotsOfLane; ++i) {
            int const slot = lane_ + kLanes * i;
            float sum = 0.0F;
            for (int dim = 0; dim < view_.key_dim; ++dim) {
                sum += queries_[row_ * (view_.key_dim + 1) + dim] *
                       keys_[slot * (view_.key_dim + 1) + dim];
            }
            bool const seen = shared_.thresholds[slot] < visible_;
            scores[i] = seen ? sum * view_.scale : -INFINITY;
            largest = fmaxf(largest, scores[i]);
        }
        for (int step = kLanes / 2; step > 0; step /= 2) {
            largest = fmaxf(largest, __shfl_xor_sync(~0U, largest, step));
        }
        float const reference = largest == -INFINITY ? 0.0F : largest;
        keep_ = expf(largest_ - reference);
        largest_ = largest;
        sum_ *= keep_;
#pragma unroll
        for (int i = 0; i < kSlotsOfLane; ++i) {
            float const weight = expf(scores[i] - reference);
            sum_ += weight;
            shared_.weights[row_][lane_ + kLanes * i] = scores[i] == -INFINITY ? -1.0F : weight;
        }
        __syncwarp();
    }

    __device__ void add_values() {
#pragma unroll
        for (int i = 0; i < kMaxDimsOfLane; ++i) {
            int const dim = lane_ + kLanes * i;
            if (dim < view_.value_dim) {
                float value = out_[i] * keep_;
                for (int slot = 0; slot < kSlots; ++slot) {
                    float const weight = shared_.weights[row_][slot];
                    if (!(weight < 0.0F)) {
                        value += weight * values_[slot * (view_.value_dim + 1) + dim];
                    }
                }
                out_[i] = value;
            }
        }
    }

    __device__ void store() {
        float sum = sum_;
        for (int step = kLanes / 2; step > 0; step /= 2) {
            sum += __shfl_xor_sync(~0U, sum, step);
        }
        if (row_ >= tile_.packed_rows) {
            return;
        }
        ResultRow const result = result_row(view_, tile_, row_);
#pragma unroll
        for (int i = 0; i < kMaxDimsOfLane; ++i) {
            int const dim = lane_ + kLanes * i;
            if (dim < view_.value_dim) {
                result.out[dim] = sum == 0.0F ? 0.0F : out_[i] / sum;
            }
        }
        if (lane_ == 0) {
            *result.lse = sum == 0.0F ? -INFINITY : largest_ + logf(sum);
        }
    }

    AttentionView const& view_;
    AttentionTile const tile_;
    Shared& shared_;
    float* queries_;
    float* keys_;
    float* values_;
    int row_;
    int lane_;
    std::int64_t visible_ = kSeesAll;
    float largest_ = -INFINITY;
    float keep_ = 1.0F;
    float sum_ = 0.0F;
    float out_[kMaxDimsOfLane] = {};
};

__global__ void __launch_bounds__(kThreads) attend(AttentionView const view) {
    extern __shared__ __align__(16) std::byte memory[];
    Tile(view, view.tiles[blockIdx.x], *reinterpret_cast<Shared*>(memory)).run();
}

}  // namespace

void launch_attention_plain(AttentionView const& view, std::int64_t num_tiles, StreamView stream) {
    if (num_tiles == 0) {
        return;
    }
    int const bytes = shared_bytes(view);
    LH_CUDA(cudaFuncSetAttribute(attend, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    attend<<<static_cast<unsigned>(num_tiles), kThreads, static_cast<std::size_t>(bytes),
             static_cast<cudaStream_t>(stream.native)>>>(view);
    LH_CUDA_LAUNCHED();
}

}  // namespace longhaul::kernels::cuda
