// Rates of linear layers on the CPU beside what the same process can read and compute at most.
//
//   bench_linear_cpu [threads ...]      default: 1 and 2 threads
//
// Questions: is `linear` within 10 % of the arithmetic peak for many rows, and does decoding read the weights at 80 % of
// the memory's rate? Shapes are SmolLM2-135M's; the token pass walks all of its matrices once, as a decoded token does.
// Every figure is the best of short runs, since other processes only ever add time; walks over much memory take the best of
// each piece (a matrix, or 2 MiB) over several passes.
#include "kernels/linear.hpp"

#include <fmt/format.h>

#include <sys/mman.h>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace longhaul::kernels {
namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

double fastest(double budget_s, std::function<void()> const& run) {
    run();
    double best = 1e30;
    double const start = now();
    for (int i = 0; i < 3 || now() - start < budget_s; ++i) {
        double const begin = now();
        run();
        best = std::min(best, now() - begin);
    }
    return best;
}

/// Sum over pieces of the fastest of several passes over all of them.
double fastest_walk(std::int64_t pieces, std::function<void(std::int64_t)> const& run_piece) {
    constexpr int kPasses = 25;
    std::vector<double> best(static_cast<std::size_t>(pieces), 1e30);
    for (int pass = 0; pass < kPasses; ++pass) {
        for (std::int64_t piece = 0; piece < pieces; ++piece) {
            double const begin = now();
            run_piece(piece);
            double& seconds = best[static_cast<std::size_t>(piece)];
            seconds = std::min(seconds, now() - begin);
        }
    }
    double sum = 0.0;
    for (double const seconds : best) {
        sum += seconds;
    }
    return sum;
}

// ---- limits of the machine

constexpr int kPeakRounds = 20000;
constexpr int kPeakChains = 12;  // hide the latency of the multiply-add

// One multiply-add of each of twelve registers. Assembler, since a compiler may keep an array of sums in memory.
#define LH_PEAK_LOOP(operation, width)                                                         \
    for (int i = 0; i < kPeakRounds; ++i) {                                                    \
        asm volatile(".irp chain,0,1,2,3,4,5,6,7,8,9,10,11\n\t" operation " %%" width          \
                     "12, %%" width "12, %%" width "\\chain\n\t.endr"                          \
                     :                                                                         \
                     :                                                                         \
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                       "xmm9", "xmm10", "xmm11", "xmm12");                                     \
    }

void clear_registers() {
    asm volatile("vzeroall"
                 :
                 :
                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/// Operations of one round.
double peak_round(Isa isa, DType dtype) {
    if (isa < Isa::avx2) {
        return 0.0;
    }
    clear_registers();
    double const rounds = 2.0 * kPeakChains * kPeakRounds;
    if (isa == Isa::avx512_bf16 && dtype == DType::bf16) {
        LH_PEAK_LOOP("vdpbf16ps", "zmm")
        return rounds * 32;
    }
    if (isa >= Isa::avx512) {
        LH_PEAK_LOOP("vfmadd231ps", "zmm")
        return rounds * 16;
    }
    LH_PEAK_LOOP("vfmadd231ps", "ymm")
    return rounds * 8;
}

/// Multiply-add peak of all threads, FLOP/s; 0 where this program does not know the instruction set.
double peak(Isa isa, DType dtype, int threads) {
    double flops = 0.0;
    double const seconds = fastest(0.1, [&] {
        double total = 0.0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
        total += peak_round(isa, dtype);
        flops = total;
    });
    return flops / seconds;
}

/// Memory far beyond the caches, on huge pages as weights are.
class ReadBuffer {
  public:
    static constexpr std::int64_t kBytes = std::int64_t{256} << 20;

    ReadBuffer() : words_(static_cast<std::uint64_t*>(std::aligned_alloc(2 << 20, kBytes))) {
        static_cast<void>(::madvise(words_, kBytes, MADV_HUGEPAGE));
        std::memset(words_, 1, kBytes);
    }
    ReadBuffer(ReadBuffer const&) = delete;
    ReadBuffer& operator=(ReadBuffer const&) = delete;
    ~ReadBuffer() { std::free(words_); }

    /// Bytes per second.
    [[nodiscard]] double bandwidth(int threads) const {
        constexpr std::int64_t kPieceWords = (std::int64_t{2} << 20) / 8;
        std::uint64_t volatile sink = 0;
        double const seconds = fastest_walk(kBytes / 8 / kPieceWords, [&](std::int64_t piece) {
            std::uint64_t const* const words = words_ + piece * kPieceWords;
            std::uint64_t total = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : total) schedule(static)
            for (std::int64_t i = 0; i < kPieceWords; ++i) {
                total += words[i];
            }
            sink = sink + total;
        });
        return static_cast<double>(kBytes) / seconds;
    }

  private:
    std::uint64_t* words_;
};

// ---- linear

struct Shape {
    char const* name;
    std::int64_t n;
    std::int64_t k;
};
constexpr Shape kLayer[] = {
    {"qkv", 960, 576}, {"o", 576, 576}, {"gate_up", 3072, 576}, {"down", 576, 1536}};
constexpr Shape kHead = {"head", 49152, 576};
constexpr std::int64_t kNumLayers = 30;
constexpr std::int64_t kRowCounts[] = {1, 2, 4, 8, 16, 64, 512, 2048};

std::vector<float> noise(std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    std::uint32_t state = 12345;
    for (float& value : values) {
        state = state * 1664525U + 1013904223U;
        value = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31F;
    }
    return values;
}

LinearWeight make_weight(Shape const& shape, DType dtype) {
    ExecContext const exec;
    return LinearWeight::pack(exec, noise(shape.n * shape.k).data(), shape.n, shape.k, shape.k,
                              dtype);
}

/// Activations of either type: small numbers, not NaNs, is all that matters.
std::vector<std::byte> make_rows(std::int64_t m, std::int64_t k, DType dtype) {
    return std::vector<std::byte>(static_cast<std::size_t>(m * k * dtype_bytes(dtype)),
                                  std::byte{0x3c});
}

void print_rates(DType dtype, int threads) {
    ExecContext exec;
    exec.threads = threads;
    fmt::print("\n{} GFLOP/s, {} thread(s), peak {:.0f}\n{:>16}", dtype_name(dtype), threads,
               peak(exec.isa, dtype, threads) * 1e-9, "rows");
    for (std::int64_t const m : kRowCounts) {
        fmt::print("{:>8}", m);
    }
    fmt::print("\n");
    std::vector<Shape> shapes(std::begin(kLayer), std::end(kLayer));
    shapes.push_back(kHead);
    for (Shape const& shape : shapes) {
        LinearWeight const weight = make_weight(shape, dtype);
        fmt::print("{:>8}{:>8}", shape.name, fmt::format("{}k", shape.n * shape.k / 1000));
        for (std::int64_t const m : kRowCounts) {
            if (shape.n == kHead.n && m > 64) {
                break;
            }
            std::vector<std::byte> const a = make_rows(m, shape.k, dtype);
            std::vector<float> c(static_cast<std::size_t>(m * shape.n));
            double const seconds =
                fastest(0.04, [&] { linear(exec, a.data(), m, weight, c.data()); });
            double const flops = 2.0 * static_cast<double>(m * shape.n * shape.k);
            fmt::print("{:>8.0f}", flops / seconds * 1e-9);
        }
        fmt::print("\n");
    }
}

/// All matrices of the model, each in memory of its own: 268 MB in bf16.
std::vector<LinearWeight> make_model(DType dtype) {
    std::vector<LinearWeight> weights;
    for (std::int64_t layer = 0; layer < kNumLayers; ++layer) {
        for (Shape const& shape : kLayer) {
            weights.push_back(make_weight(shape, dtype));
        }
    }
    weights.push_back(make_weight(kHead, dtype));
    return weights;
}

void print_token_pass(ReadBuffer const& buffer, DType dtype,
                      std::vector<int> const& thread_counts) {
    std::vector<LinearWeight> const weights = make_model(dtype);
    std::int64_t bytes = 0;
    for (LinearWeight const& weight : weights) {
        bytes += weight.bytes();
    }
    std::vector<float> c(static_cast<std::size_t>(8 * kHead.n));
    for (int const threads : thread_counts) {
        ExecContext exec;
        exec.threads = threads;
        for (std::int64_t const m : {1, 4, 8}) {
            std::vector<std::byte> const a = make_rows(m, 4096, dtype);
            double const limit = buffer.bandwidth(threads);
            double const seconds =
                fastest_walk(static_cast<std::int64_t>(weights.size()), [&](std::int64_t piece) {
                    linear(exec, a.data(), m, weights[static_cast<std::size_t>(piece)], c.data());
                });
            double const rate = static_cast<double>(bytes) / seconds;
            fmt::print("{:>6}{:>9}{:>6}{:>10.0f}{:>10.2f}{:>10.0f}{:>12.0f}{:>8.2f}\n",
                       dtype_name(dtype), threads, m, static_cast<double>(bytes) * 1e-6,
                       seconds * 1e3, rate * 1e-6, limit * 1e-6, rate / limit);
        }
    }
}

void run(std::vector<int> const& thread_counts) {
    ReadBuffer const buffer;
    fmt::print(
        "token pass over SmolLM2-135M's weights\n{:>6}{:>9}{:>6}{:>10}{:>10}{:>10}{:>12}{:>8}\n",
        "dtype", "threads", "rows", "MB", "ms", "MB/s", "read MB/s", "ratio");
    for (DType const dtype : {DType::bf16, DType::f32}) {
        print_token_pass(buffer, dtype, thread_counts);
    }
    for (DType const dtype : {DType::bf16, DType::f32}) {
        for (int const threads : thread_counts) {
            print_rates(dtype, threads);
        }
    }
}

}  // namespace
}  // namespace longhaul::kernels

int main(int argc, char** argv) {
    std::vector<int> thread_counts;
    for (int i = 1; i < argc; ++i) {
        thread_counts.push_back(std::max(1, std::atoi(argv[i])));
    }
    if (thread_counts.empty()) {
        thread_counts = {1, 2};
    }
    longhaul::kernels::run(thread_counts);
    return 0;
}
