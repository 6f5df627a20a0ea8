// Rates of everything but attention on a GPU, beside the memory's.
//
//   bench_linear_cuda [GB/s of the memory, default 3000]
//
// Questions: are few rows multiplied at the speed at which the weights come in, many rows at the matrix units' speed, and
// do the row-wise kernels keep the memory busy? Matrices rotate through more memory than the caches hold. Times are the
// host's around many launches in a row, so a launch that is shorter than its own overhead shows that.
#include "base/bfloat16.hpp"
#include "device/gpu.hpp"
#include "kernels/cuda/backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <random>
#include <vector>

namespace longhaul::kernels {
namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

class Bench {
  public:
    explicit Bench(double peak) : peak_(peak) {
        std::mt19937 random(1);
        for (BFloat16& value : random_) {
            value = to_bfloat16(static_cast<float>(random()) * 0x1p-31F - 1.0F);
        }
    }

    void few_rows(char const* model, std::int64_t k, std::int64_t n, DType dtype = DType::bf16) {
        Weights const weights(*this, n, k, dtype);
        for (std::int64_t const m : {1, 4, 16}) {
            double const seconds = time_product(weights, m, 60);
            double const bytes = static_cast<double>(dtype_bytes(dtype) * (n * k + m * (n + k)));
            fmt::print("{:<10} {:>6} -> {:<6} m {:<2} {:8.1f} us {:6.0f} GB/s {:4.0f} %\n", model,
                       k, n, m, seconds * 1e6, bytes / seconds / 1e9,
                       bytes / seconds / 1e7 / peak_);
        }
    }
    void many_rows(std::int64_t k, std::int64_t n) {
        Weights const weights(*this, n, k, DType::bf16);
        for (std::int64_t const m : {512, 4096}) {
            double const seconds = time_product(weights, m, 10);
            fmt::print("{:>6} -> {:<6} m {:<4} {:8.1f} us {:6.0f} TFLOP/s\n", k, n, m,
                       seconds * 1e6, 2.0 * static_cast<double>(m * n * k) / seconds / 1e12);
        }
    }
    void row_wise();
    void logits();

  private:
    struct Weights {
        std::vector<LinearWeight::Impl> copies;
        Weights(Bench& bench, std::int64_t n, std::int64_t k, DType dtype) {
            constexpr std::int64_t kBeyondCaches = std::int64_t{256} << 20;
            std::int64_t const bytes = n * k * dtype_bytes(dtype);
            auto const count = static_cast<std::size_t>(
                std::clamp<std::int64_t>(kBeyondCaches / bytes, 1, 60) + 1);
            copies.resize(count);
            for (LinearWeight::Impl& copy : copies) {
                copy.backend = Backend::cuda;
                copy.dtype = dtype;
                copy.n = n;
                copy.k = k;
                copy.device_bytes = bench.random_memory(bytes);
            }
        }
    };

    device::Buffer random_memory(std::int64_t bytes) {
        device::Buffer memory(&gpu_, bytes);
        auto const piece = static_cast<std::int64_t>(random_.size() * sizeof(BFloat16));
        device::upload(&gpu_, memory.data(), random_.data(), std::min(bytes, piece));
        for (std::int64_t at = piece; at < bytes; at += piece) {
            device::copy(&gpu_, memory.data() + at, memory.data(), std::min(piece, bytes - at));
        }
        return memory;
    }
    /// Median of some batches of `count` launches, per launch.
    double time(int count, std::function<void(int)> const& launch) {
        std::vector<double> times;
        for (int batch = 0; batch < 6; ++batch) {
            gpu_.synchronize();
            double const begin = now();
            for (int i = 0; i < count; ++i) {
                launch(i);
            }
            gpu_.synchronize();
            times.push_back((now() - begin) / count);
        }
        times.erase(times.begin());  // warms up
        std::sort(times.begin(), times.end());
        return times[times.size() / 2];
    }
    double time_product(Weights const& weights, std::int64_t m, int count) {
        LinearWeight::Impl const& first = weights.copies[0];
        device::Buffer const a = random_memory(m * first.k * dtype_bytes(first.dtype));
        device::Buffer const c(&gpu_, m * first.n * dtype_bytes(first.dtype));
        return time(count, [&](int i) {
            cuda::linear(exec_, a.data(), m,
                         weights.copies[static_cast<std::size_t>(i) % weights.copies.size()],
                         c.data(), first.dtype);
        });
    }
    void report(char const* name, double bytes, double seconds) const {
        fmt::print("{:<34} {:8.1f} us {:6.0f} GB/s {:4.0f} %\n", name, seconds * 1e6,
                   bytes / seconds / 1e9, bytes / seconds / 1e7 / peak_);
    }

    double peak_;
    device::Gpu gpu_{0};
    ExecContext exec_{Backend::cuda, detect_isa(), 1, &gpu_};
    std::vector<BFloat16> random_ = std::vector<BFloat16>(std::size_t{4} << 20);
};

constexpr std::int64_t kRows = 8192;
constexpr std::int64_t kDim = 4096;
constexpr double kElements = static_cast<double>(kRows * kDim);

void Bench::row_wise() {
    device::Buffer const x = random_memory(kRows * kDim * 4);
    device::Buffer const delta = random_memory(kRows * kDim * 4);
    device::Buffer const weight = random_memory(kDim * 4);
    device::Buffer const out(&gpu_, kRows * kDim * 4);
    report("copy", 8.0 * kElements,
           time(10, [&](int) { device::copy(&gpu_, out.data(), x.data(), kRows * kDim * 4); }));
    report("residual + norm to bf16", 14.0 * kElements, time(10, [&](int) {
               cuda::residual_rms_norm(exec_, {x.as<float>(), delta.as<float>(), weight.as<float>(),
                                               1e-5, kRows, kDim, out.data(), DType::bf16});
           }));
    report("swiglu bf16 to bf16", 6.0 * kElements, time(10, [&](int) {
               cuda::swiglu(exec_, delta.data(), DType::bf16, kRows, kDim, out.data(), DType::bf16);
           }));
    report("swiglu f32 to bf16", 5.0 * kElements, time(10, [&](int) {
               cuda::swiglu(exec_, delta.data(), DType::f32, kRows, kDim / 2, out.data(),
                            DType::bf16);
           }));
    // 32 query and 8 KV heads of 128.
    KvLayout const layout{DType::bf16, 128, 8, 128, 128, KvPacking::rows};
    device::Buffer const pool(&gpu_, kRows / 128 * layout.block_bytes());
    device::Buffer const qkv = random_memory(kRows * 48 * 128 * 2);
    device::Buffer const queries(&gpu_, kRows * 32 * 128 * 2);
    device::Buffer const table(&gpu_, kRows * 128 * 4);
    std::vector<KvSlot> slots;
    std::vector<std::int64_t> positions;
    for (std::int64_t row = 0; row < kRows; ++row) {
        slots.push_back({row / 128, row % 128});
        positions.push_back(1'000'000 + row);
    }
    device::Buffer const on_gpu = device::make_buffer(&gpu_, std::span<KvSlot const>(slots));
    device::Buffer const places =
        device::make_buffer(&gpu_, std::span<std::int64_t const>(positions));
    double const table_s = time(10, [&](int) {
        cuda::rope_table(exec_, {places.as<std::int64_t const>(), kRows}, 128, 5e5,
                         table.as<float>());
    });
    report("rope table", 4.0 * 128 * kRows, table_s);
    report("rope + KV write bf16", (4.0 * 48 + 4.0) * 128 * kRows, time(10, [&](int) {
               cuda::rope_and_write_kv(exec_, {layout,
                                               pool.data(),
                                               qkv.data(),
                                               table.as<float>(),
                                               kRows,
                                               32,
                                               {on_gpu.as<KvSlot const>(), kRows},
                                               queries.data(),
                                               DType::bf16});
           }));
}

void Bench::logits() {
    Range const vocab{0, 128256};
    device::Buffer const logits = random_memory(512 * vocab.size() * 4);
    for (std::int64_t const rows : {1, 512}) {
        for (bool const sample : {false, true}) {
            LogitQuery query;
            query.target = 77;
            query.sample = sample;
            query.temperature = 0.8F;
            std::vector<LogitQuery> const queries(static_cast<std::size_t>(rows), query);
            std::vector<LogitSummary> summaries(queries.size());
            double const seconds = time(10, [&](int) {
                cuda::summarize_logits(exec_, logits.as<float>(), vocab, queries, summaries);
            });
            report(
                fmt::format("logits of 128256, {} rows{}", rows, sample ? ", sampled" : "").c_str(),
                4.0 * static_cast<double>(rows * vocab.size()), seconds);
        }
    }
    LogitQuery query;
    query.top_k = 20;
    std::vector<LogitSummary> summaries(1);
    report("logits of 128256, top 20", 4.0 * static_cast<double>(vocab.size()), time(5, [&](int) {
               cuda::summarize_logits(exec_, logits.as<float>(), vocab, {&query, 1}, summaries);
           }));
}

}  // namespace
}  // namespace longhaul::kernels

int main(int argc, char** argv) {
    double const peak = argc > 1 ? std::atof(argv[1]) : 3000.0;
    fmt::print("{}\n", longhaul::device::describe_gpus());
    longhaul::kernels::Bench bench(peak);
    for (auto const& [k, n] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {576, 960}, {576, 576}, {576, 3072}, {1536, 576}, {576, 49152}}) {
        bench.few_rows("smollm2", k, n);
    }
    std::vector<std::pair<std::int64_t, std::int64_t>> const large{
        {4096, 6144}, {4096, 4096}, {4096, 28672}, {14336, 4096}, {4096, 128256}};
    for (auto const& [k, n] : large) {
        bench.few_rows("llama3-8b", k, n);
    }
    bench.few_rows("f32", 4096, 14336, longhaul::DType::f32);
    for (auto const& [k, n] : large) {
        bench.many_rows(k, n);
    }
    bench.row_wise();
    bench.logits();
    return 0;
}
