#include "bench/attention_run.hpp"

#include "base/bfloat16.hpp"
#include "kernels/cuda/attention_device.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <iterator>
#include <numeric>
#include <random>
#include <span>

namespace longhaul::kernels {
namespace {

using Clock = std::chrono::steady_clock;

/// Normal random numbers, the same few millions over and over.
device::Buffer noise(device::Gpu& gpu, std::int64_t elements) {
    static std::vector<std::uint16_t> const sample = [] {
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        std::vector<std::uint16_t> values(1 << 22);
        for (auto& value : values) {
            value = std::bit_cast<std::uint16_t>(to_bfloat16(normal(random)));
        }
        return values;
    }();
    device::Buffer buffer(&gpu, elements * 2);
    std::int64_t const first = std::min<std::int64_t>(std::ssize(sample), elements);
    device::upload(&gpu, buffer.data(), sample.data(), first * 2);
    for (std::int64_t i = first; i < elements; i += first) {
        device::copy(&gpu, buffer.data() + i * 2, buffer.data(), std::min(first, elements - i) * 2);
    }
    return buffer;
}

std::string_view path_name(AttentionWork::Shape const& shape, device::GpuInfo const& gpu) {
    switch (cuda::choose_kernel(shape, gpu.capability, gpu.multiprocessors).kernel) {
        case cuda::AttentionKernel::hopper:
            return "hopper";
        case cuda::AttentionKernel::mma_bf16:
            return "mma";
        case cuda::AttentionKernel::plain_f32:
            break;
    }
    return "plain";
}

}  // namespace

AttentionRun::AttentionRun(device::Gpu& gpu, AttentionCase const& at,
                           AttentionRunOptions const& options)
    : exec_{Backend::cuda, detect_isa(), 1, &gpu},
      layout_{DType::bf16,    options.force_mma ? 64 : 128, at.num_kv_heads, at.dim, at.dim,
              KvPacking::rows},
      work_(exec_, {layout_, at.num_heads, options.fixed_splits}),
      path_(path_name({layout_, at.num_heads, options.fixed_splits}, gpu.info())) {
    auto const sequences = std::ssize(at.history);
    args_.num_rows = at.rows * sequences;
    rows_.resize(args_.num_rows);
    visible_.resize(args_.num_rows);
    std::iota(rows_.begin(), rows_.end(), 0);
    extents_.resize(sequences);
    std::int64_t blocks = 0;
    for (std::int64_t s = 0; s < sequences; ++s) {
        add_sequence(at, s, blocks);
    }
    pool_ = noise(gpu, blocks * layout_.block_bytes() / 2);
    queries_ = noise(gpu, args_.num_rows * at.num_heads * at.dim);
    out_ = device::Buffer(&gpu, args_.num_rows * at.num_heads * at.dim * 4);
    lse_ = device::Buffer(&gpu, args_.num_rows * at.num_heads * 4);
    args_.layout = layout_;
    args_.pool = pool_.data();
    args_.queries = queries_.data();
    args_.num_heads = at.num_heads;
    args_.scale = 1.0F / std::sqrt(static_cast<float>(at.dim));
    args_.work = &work_;
    args_.out = out_.as<float>();
    args_.lse = lse_.as<float>();
    prepare();
}

void AttentionRun::prepare() {
    work_.prepare(args_.num_rows, items_);  // takes its memory
    auto const begin = Clock::now();
    work_.prepare(args_.num_rows, items_);
    prepare_ms_ = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double AttentionRun::seconds_per_call(int calls) {
    exec_.gpu->synchronize();
    auto const begin = Clock::now();
    for (int i = 0; i < calls; ++i) {
        attention(exec_, args_);
    }
    exec_.gpu->synchronize();
    return std::chrono::duration<double>(Clock::now() - begin).count() / calls;
}

void AttentionRun::add_sequence(AttentionCase const& at, std::int64_t s, std::int64_t& blocks) {
    std::int64_t const block_slots = layout_.block_slots;
    std::int64_t const slots = at.slots(s);
    std::int64_t const count = (slots + block_slots - 1) / block_slots;
    // A few extents that lie about in the pool.
    std::int64_t const run = std::max<std::int64_t>(1, (count + 2) / 3);
    for (std::int64_t first = 0; first < count; first += run) {
        std::int64_t const length = std::min(run, count - first);
        extents_[s].push_back(
            {blocks + count - first - length, length, first * block_slots, block_slots});
    }
    blocks += count;
    std::span<std::int32_t const> const rows(rows_.data() + s * at.rows, at.rows);
    if (at.history[s] > 0) {
        items_.push_back({rows, extents_[s], 0, at.history[s], {}});
    }
    if (at.causal) {
        std::span<std::int64_t> const visible(visible_.data() + s * at.rows, at.rows);
        std::iota(visible.begin(), visible.end(), at.history[s] + 1);
        items_.push_back({rows, extents_[s], at.history[s], slots, visible});
    }
}

}  // namespace longhaul::kernels
