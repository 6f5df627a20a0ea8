#include "kernels/rope_kv.hpp"

#include "base/error.hpp"
#include "kernels/cpu/rope_kv.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/reference/rope_kv.hpp"

#include <cmath>
#include <iterator>
#include <vector>

namespace longhaul::kernels {

double rope_frequency(double theta, std::int64_t i, std::int64_t head_dim) {
    return std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
}

void rope_table(ExecContext const& exec, std::span<std::int64_t const> positions,
                std::int64_t head_dim, double theta, float* table) {
    LH_EXPECT(head_dim > 0 && head_dim % 2 == 0 && theta > 0.0);
    if (exec.backend == Backend::cuda) {
        cuda::rope_table(exec, positions, head_dim, theta, table);
        return;
    }
    std::vector<double> frequencies(head_dim / 2);
    for (std::int64_t i = 0; i < head_dim / 2; ++i) {
        frequencies[i] = rope_frequency(theta, i, head_dim);
    }
    for (std::int64_t const position : positions) {
        for (double const frequency : frequencies) {
            double const angle = static_cast<double>(position) * frequency;
            *table++ = static_cast<float>(std::cos(angle));
            *table++ = static_cast<float>(std::sin(angle));
        }
    }
}

void rope_and_write_kv(ExecContext const& exec, RopeKvArgs const& args) {
    LH_EXPECT(args.layout.key_dim == args.layout.value_dim && args.layout.key_dim % 2 == 0);
    LH_EXPECT(args.layout.num_kv_heads > 0 && std::ssize(args.slots) == args.num_rows);
    if (exec.backend == Backend::cuda) {
        cuda::rope_and_write_kv(exec, args);
        return;
    }
    LH_EXPECT(args.qkv_dtype == DType::f32 && args.layout.packing == KvPacking::simd);
    for (KvSlot const& target : args.slots) {
        LH_EXPECT(target.block < 0 || (target.slot >= 0 && target.slot < args.layout.block_slots));
    }
    switch (exec.backend) {
        case Backend::reference:
            reference::rope_and_write_kv(args);
            break;
        case Backend::cpu:
            cpu::rope_and_write_kv(exec, args);
            break;
        case Backend::cuda:
            break;
    }
}

}  // namespace longhaul::kernels
