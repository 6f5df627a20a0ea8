// How fast does the GPU attend? Prefill in TFLOP/s, decode in TB/s of keys and values.
//   bench_attention_cuda [--long] [--fixed] [--only TEXT]
// --fixed cuts KV as a deterministic run does. One line a shape: burst is the median of single calls on a rested GPU; sustained is calls back to back, when
// the power limit sets the clock. The two are never to be compared with each other.

#include "base/bfloat16.hpp"
#include "device/buffer.hpp"
#include "device/gpu.hpp"
#include "kernels/attention.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace longhaul::kernels {
namespace {

using Clock = std::chrono::steady_clock;

struct Shape {
    std::int64_t num_heads = 32;
    std::int64_t num_kv_heads = 8;
    std::int64_t dim = 128;
};

/// Sequences that each have `rows` query rows.
struct Case {
    std::string name;
    Shape shape;
    std::int64_t rows = 1;
    std::vector<std::int64_t> history;  ///< slots of each sequence before its rows
    bool causal = false;                ///< rows see each other, too
};

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
    for (std::int64_t i = 0; i < elements; i += std::ssize(sample)) {
        std::int64_t const count = std::min<std::int64_t>(std::ssize(sample), elements - i);
        device::upload(&gpu, buffer.data() + i * 2, sample.data(), count * 2);
    }
    return buffer;
}

/// Pool, queries, results and work list of a case.
class Run {
  public:
    Run(device::Gpu& gpu, Case const& at, bool fixed_splits)
        : exec_{Backend::cuda, detect_isa(), 1, &gpu},
          layout_{DType::bf16,  128,          at.shape.num_kv_heads,
                  at.shape.dim, at.shape.dim, KvPacking::rows},
          work_(exec_, {layout_, at.shape.num_heads, fixed_splits}) {
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
        std::int64_t const heads = at.shape.num_heads;
        pool_ = noise(gpu, blocks * layout_.block_bytes() / 2);
        queries_ = noise(gpu, args_.num_rows * heads * at.shape.dim);
        out_ = device::Buffer(&gpu, args_.num_rows * heads * at.shape.dim * 4);
        lse_ = device::Buffer(&gpu, args_.num_rows * heads * 4);
        work_.prepare(args_.num_rows, items_);  // takes its memory
        auto const begin = Clock::now();
        work_.prepare(args_.num_rows, items_);
        prepare_ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
        args_.layout = layout_;
        args_.pool = pool_.data();
        args_.queries = queries_.data();
        args_.num_heads = heads;
        args_.scale = 1.0F / std::sqrt(static_cast<float>(at.shape.dim));
        args_.work = &work_;
        args_.out = out_.as<float>();
        args_.lse = lse_.as<float>();
    }

    /// Seconds a call, of `count` back to back.
    double seconds(int count) {
        exec_.gpu->synchronize();
        auto const begin = Clock::now();
        for (int i = 0; i < count; ++i) {
            attention(exec_, args_);
        }
        exec_.gpu->synchronize();
        return std::chrono::duration<double>(Clock::now() - begin).count() / count;
    }

    double prepare_ms = 0.0;
    double flop = 0.0;
    double kv_bytes = 0.0;

  private:
    void add_sequence(Case const& at, std::int64_t s, std::int64_t& blocks) {
        std::int64_t const slots = at.history[s] + (at.causal ? at.rows : 0);
        std::int64_t const count = (slots + 127) / 128;
        // A few extents that lie about in the pool.
        std::int64_t const run = std::max<std::int64_t>(1, (count + 2) / 3);
        for (std::int64_t first = 0; first < count; first += run) {
            std::int64_t const length = std::min(run, count - first);
            extents_[s].push_back({blocks + count - first - length, length, first * 128, 128});
        }
        blocks += count;
        std::span<std::int32_t const> const rows(rows_.data() + s * at.rows, at.rows);
        if (at.history[s] > 0) {
            items_.push_back({rows, extents_[s], 0, at.history[s], {}});
        }
        double seen = static_cast<double>(at.rows * at.history[s]);
        if (at.causal) {
            std::span<std::int64_t> const visible(visible_.data() + s * at.rows, at.rows);
            std::iota(visible.begin(), visible.end(), at.history[s] + 1);
            items_.push_back({rows, extents_[s], at.history[s], slots, visible});
            seen += 0.5 * static_cast<double>(at.rows * at.rows);
        }
        flop += 4.0 * static_cast<double>(at.shape.num_heads * at.shape.dim) * seen;
        kv_bytes += 4.0 * static_cast<double>(at.shape.num_kv_heads * at.shape.dim * slots);
    }

    ExecContext exec_;
    KvLayout layout_;
    AttentionWork work_;
    std::vector<std::int32_t> rows_;
    std::vector<std::int64_t> visible_;
    std::vector<std::vector<KvExtent>> extents_;
    std::vector<AttentionItem> items_;
    AttentionArgs args_;
    device::Buffer pool_;
    device::Buffer queries_;
    device::Buffer out_;
    device::Buffer lse_;
};

void measure(device::Gpu& gpu, Case const& at, bool fixed_splits) {
    Run run(gpu, at, fixed_splits);
    double const estimate = run.seconds(2);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    run.seconds(2);
    std::vector<double> single;
    for (int i = 0; i < 5; ++i) {
        single.push_back(run.seconds(1));
    }
    std::nth_element(single.begin(), single.begin() + 2, single.end());
    double const burst = single[2];
    double const sustained = run.seconds(std::clamp(static_cast<int>(0.6 / estimate), 3, 2000));
    auto const rates = [&](double seconds) {
        return fmt::format("{:9.1f} us {:6.1f} TFLOP/s {:5.2f} TB/s", seconds * 1e6,
                           run.flop / seconds * 1e-12, run.kv_bytes / seconds * 1e-12);
    };
    fmt::print("{:<34} burst {} | sustained {} | prepare {:.2f} ms\n", at.name, rates(burst),
               rates(sustained), run.prepare_ms);
    std::fflush(stdout);
}

std::vector<Case> cases(bool with_long) {
    constexpr Shape kShapes[] = {{32, 8, 128}, {16, 4, 128}, {9, 3, 64}};
    std::vector<std::int64_t> const lengths =
        with_long ? std::vector<std::int64_t>{131072, 1048576} : std::vector<std::int64_t>{131072};
    std::vector<Case> list;
    for (Shape const& shape : kShapes) {
        std::string const name =
            fmt::format("d{} {}/{}", shape.dim, shape.num_heads, shape.num_kv_heads);
        for (std::int64_t const length : lengths) {
            for (std::int64_t const rows : {512, 4096, 8192}) {
                list.push_back({fmt::format("prefill {} q{} kv{}", name, rows, length),
                                shape,
                                rows,
                                {length}});
            }
            for (std::int64_t const rows : {1, 4, 16, 32, 64, 128, 256}) {
                list.push_back(
                    {fmt::format("short {} q{} kv{}", name, rows, length), shape, rows, {length}});
            }
        }
        list.push_back({fmt::format("short {} q1 kv16384", name), shape, 1, {16384}});
        list.push_back({fmt::format("prefill {} q4096 kv8192", name), shape, 4096, {8192}});
        list.push_back({fmt::format("causal {} n8192", name), shape, 8192, {0}, true});
        list.push_back({fmt::format("causal {} n32768", name), shape, 32768, {0}, true});
        list.push_back(
            {fmt::format("chunk {} q4096 kv131072 causal", name), shape, 4096, {131072}, true});
        std::vector<std::int64_t> mixed;
        for (std::int64_t i = 1; i <= 64; ++i) {
            mixed.push_back(i * 997 % 65536 + 100);
        }
        list.push_back({fmt::format("decode {} 64 sequences", name), shape, 1, mixed, true});
    }
    return list;
}

int run(std::span<char*> arguments) {
    bool with_long = false;
    bool fixed_splits = false;
    std::string only;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        std::string_view const argument = arguments[i];
        with_long = with_long || argument == "--long";
        fixed_splits = fixed_splits || argument == "--fixed";
        if (argument == "--only" && i + 1 < arguments.size()) {
            only = arguments[i + 1];
        }
    }
    if (device::list_gpus().empty()) {
        fmt::print("no GPU\n");
        return 0;
    }
    device::Gpu gpu(0);
    fmt::print("{}\n", gpu.info().name);
    for (Case const& at : cases(with_long)) {
        if (at.name.find(only) != std::string::npos) {
            measure(gpu, at, fixed_splits);
        }
    }
    return 0;
}

}  // namespace
}  // namespace longhaul::kernels

int main(int argc, char** argv) {
    return longhaul::kernels::run({argv, static_cast<std::size_t>(argc)});
}
