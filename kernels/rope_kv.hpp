#pragma once

#include "kernels/exec_context.hpp"
#include "kernels/kv_layout.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace longhaul::kernels {

/// Rotation of pair i of a head, in radians per position.
[[nodiscard]] double rope_frequency(double theta, std::int64_t i, std::int64_t head_dim);

/// cos and sin of every row's rotary angles: table [num_rows][head_dim/2][2] f32 (cos, sin). Angles position * theta^(-2i/d)
/// are formed in fp64: fp32 angles are off by 2e-2 at position 1 M. Called once per step, not per layer.
void rope_table(ExecContext const& exec, std::span<std::int64_t const> positions,
                std::int64_t head_dim, double theta, float* table);

/// Where the new K/V entry of a row goes; block = -1: another KVP rank owns it, write nothing.
struct KvSlot {
    std::int64_t block = -1;
    std::int64_t slot = 0;  ///< inside the block
};

/// Rotates Q and K (half-split pairs: element i with i + head_dim/2), converts to the cache dtype, writes K and V into the
/// pool blocks and Q to `queries`.
///
/// Shapes   qkv [num_rows, (num_heads + 2 num_kv_heads) * head_dim] of qkv_dtype (cpu: f32): Q heads, K heads, V heads; table as above;
///          slots [num_rows]; queries [num_rows, num_heads, head_dim] of layout.dtype
struct RopeKvArgs {
    KvLayout layout;
    std::byte* pool = nullptr;
    void const* qkv = nullptr;
    float const* table = nullptr;
    std::int64_t num_rows = 0;
    std::int64_t num_heads = 0;
    std::span<KvSlot const> slots;
    void* queries = nullptr;
    DType qkv_dtype = DType::f32;
};
void rope_and_write_kv(ExecContext const& exec, RopeKvArgs const& args);

}  // namespace longhaul::kernels
