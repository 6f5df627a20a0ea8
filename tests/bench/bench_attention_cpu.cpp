// Attention on this processor beside its own limits, measured in the same process: FMA peak and read bandwidth.
//   bench_attention_cpu [threads]
// Prints the best of several short runs. FLOPs = 4 * heads * queries * slots * head_dim (two products, all slots seen).

#include "kernels/attention.hpp"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <numeric>
#include <vector>

#if defined(__x86_64__)
#    include <immintrin.h>
#endif

namespace longhaul::kernels {
namespace {

/// Best time of at least three runs and half a second.
double best_seconds(std::function<void()> const& run) {
    double best = 1e30;
    double total = 0.0;
    for (int i = 0; i < 3 || (total < 0.5 && i < 1000); ++i) {
        auto const begin = std::chrono::steady_clock::now();
        run();
        double const seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        best = std::min(best, seconds);
        total += seconds;
    }
    return best;
}

#if defined(__x86_64__)
constexpr int kChains = 24;
constexpr std::int64_t kPeakSteps = 200'000;

__attribute__((target("avx512f"))) float spin_f32() {
    __m512 acc[kChains];
    for (auto& a : acc) {
        a = _mm512_set1_ps(1.0F);
    }
    __m512 x = _mm512_set1_ps(0.999F);
    for (std::int64_t i = 0; i < kPeakSteps; ++i) {
        asm volatile("" : "+v"(x));
#    pragma GCC unroll 24
        for (int c = 0; c < kChains; ++c) {
            acc[c] = _mm512_fmadd_ps(acc[c], x, x);
        }
    }
    float sum = 0.0F;
    for (auto const& a : acc) {
        sum += _mm512_cvtss_f32(a);
    }
    return sum;
}

__attribute__((target("avx512f,avx512bf16"))) float spin_bf16() {
    __m512 acc[kChains];
    for (auto& a : acc) {
        a = _mm512_set1_ps(1.0F);
    }
    __m512 x = _mm512_set1_ps(0.5F);
    for (std::int64_t i = 0; i < kPeakSteps; ++i) {
        asm volatile("" : "+v"(x));
#    pragma GCC unroll 24
        for (int c = 0; c < kChains; ++c) {
            acc[c] = _mm512_dpbf16_ps(acc[c], (__m512bh)x, (__m512bh)x);
        }
    }
    float sum = 0.0F;
    for (auto const& a : acc) {
        sum += _mm512_cvtss_f32(a);
    }
    return sum;
}

void print_peak() {
    volatile float sink = 0.0F;
    if (detect_isa() >= Isa::avx512) {
        double const seconds = best_seconds([&] { sink = spin_f32(); });
        std::printf("peak f32   %7.1f GFLOP/s per core\n",
                    static_cast<double>(kPeakSteps * kChains * 32) / seconds / 1e9);
    }
    if (detect_isa() >= Isa::avx512_bf16) {
        double const seconds = best_seconds([&] { sink = spin_bf16(); });
        std::printf("peak bf16  %7.1f GFLOP/s per core\n",
                    static_cast<double>(kPeakSteps * kChains * 64) / seconds / 1e9);
    }
    static_cast<void>(sink);
}
#else
void print_peak() {}
#endif

/// Sums 64-bit words of an array that no cache holds, each thread its part, fetching ahead; GB/s.
double read_bandwidth(std::vector<std::uint64_t> const& words, int threads) {
    constexpr std::int64_t kAhead = 512;  // words: a page
    std::int64_t const count = std::ssize(words) - kAhead;
    volatile std::uint64_t sink = 0;
    double const seconds = best_seconds([&] {
        std::uint64_t total = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : total) schedule(static)
        for (std::int64_t i = 0; i < count / 8; ++i) {
            std::uint64_t const* line = words.data() + 8 * i;
            __builtin_prefetch(line + kAhead, 0, 2);
            total += line[0] + line[1] + line[2] + line[3] + line[4] + line[5] + line[6] + line[7];
        }
        sink = total;
    });
    static_cast<void>(sink);
    return static_cast<double>(count * sizeof(std::uint64_t)) / seconds / 1e9;
}

struct Bench {
    DType dtype = DType::bf16;
    std::int64_t num_heads = 9;
    std::int64_t num_kv_heads = 3;
    std::int64_t head_dim = 64;
    std::int64_t rows = 1;
    std::int64_t slots = 16384;
    bool causal = false;
};

double time_attention(ExecContext const& exec, Bench const& bench) {
    AttentionArgs args;
    args.layout = {bench.dtype, 128, bench.num_kv_heads, bench.head_dim, bench.head_dim};
    std::int64_t const blocks = (bench.slots + 127) / 128;
    // Small values that are finite and unlike each other in either type.
    std::vector<std::uint32_t> pool(blocks * args.layout.block_bytes() / 4);
    std::vector<std::uint32_t> queries(bench.rows * bench.num_heads * bench.head_dim);
    std::uint32_t state = 1;
    for (auto* words : {&pool, &queries}) {
        for (std::uint32_t& word : *words) {
            state = state * 1664525U + 1013904223U;
            word = (state & 0x807f807fU) | 0x3e803e80U;
        }
    }
    std::vector<std::int32_t> rows(bench.rows);
    std::iota(rows.begin(), rows.end(), 0);
    std::vector<std::int64_t> visible;
    for (std::int64_t i = 0; bench.causal && i < bench.rows; ++i) {
        visible.push_back(bench.slots - bench.rows + i + 1);
    }
    KvExtent const extent{0, blocks, 0, 128};
    AttentionItem const item{rows, {&extent, 1}, 0, bench.slots, visible};
    std::vector<float> out(bench.rows * bench.num_heads * bench.head_dim);
    std::vector<float> lse(bench.rows * bench.num_heads);
    args.pool = reinterpret_cast<std::byte const*>(pool.data());
    args.queries = queries.data();
    args.num_rows = bench.rows;
    args.num_heads = bench.num_heads;
    args.scale = 1.0F / std::sqrt(static_cast<float>(bench.head_dim));
    args.items = {&item, 1};
    args.out = out.data();
    args.lse = lse.data();
    return best_seconds([&] { attention(exec, args); });
}

char const* isa_name(Isa isa) {
    constexpr char const* kNames[] = {"plain", "avx2", "avx512", "avx512_bf16"};
    return kNames[static_cast<int>(isa)];
}

void print_prefill(ExecContext const& exec, Bench const& bench) {
    double const seconds = time_attention(exec, bench);
    double const pairs =
        bench.causal ? static_cast<double>(bench.rows) * (static_cast<double>(bench.slots) -
                                                          static_cast<double>(bench.rows - 1) / 2)
                     : static_cast<double>(bench.rows * bench.slots);
    double const flops = 4.0 * static_cast<double>(bench.num_heads * bench.head_dim) * pairs;
    std::printf(
        "prefill %-4s %-11s d %3ld heads %2ld/%ld rows %3ld slots %6ld%s: %7.1f GFLOP/s per core, "
        "%7.2f ms\n",
        dtype_name(bench.dtype), isa_name(exec.isa), bench.head_dim, bench.num_heads,
        bench.num_kv_heads, bench.rows, bench.slots, bench.causal ? " causal" : "",
        flops / seconds / 1e9 / exec.threads, seconds * 1e3);
}

void print_decode(ExecContext const& exec, Bench const& bench, double bandwidth) {
    double const seconds = time_attention(exec, bench);
    double const bytes = 2.0 * static_cast<double>(bench.num_kv_heads * bench.head_dim *
                                                   bench.slots * dtype_bytes(bench.dtype));
    std::printf(
        "decode  %-4s %-11s d %3ld heads %2ld/%ld slots %7ld (%6.1f MB): %6.1f GB/s (%3.0f %%), "
        "%7.3f ms\n",
        dtype_name(bench.dtype), isa_name(exec.isa), bench.head_dim, bench.num_heads,
        bench.num_kv_heads, bench.slots, bytes / 1e6, bytes / seconds / 1e9,
        100.0 * bytes / seconds / 1e9 / bandwidth, seconds * 1e3);
}

void run(int threads) {
    print_peak();
    double bandwidth = 0.0;
    {
        std::vector<std::uint64_t> const words(48'000'000, 1);
        double const one = read_bandwidth(words, 1);
        bandwidth = std::max(one, read_bandwidth(words, threads));
        std::printf("read       %7.1f GB/s with 1 thread, %.1f with %d\n", one, bandwidth, threads);
    }
    for (DType const dtype : {DType::f32, DType::bf16}) {
        for (Isa const isa : {Isa::avx512_bf16, Isa::avx512, Isa::avx2, Isa::plain}) {
            bool const same = dtype == DType::f32 && isa == Isa::avx512_bf16 && detect_isa() == isa;
            if (isa > detect_isa() || same) {
                continue;
            }
            for (int const t : {1, threads}) {
                print_prefill({Backend::cpu, isa, t}, {.dtype = dtype, .rows = 512});
            }
        }
        ExecContext const exec{Backend::cpu, detect_isa(), threads};
        print_prefill(
            exec,
            {.dtype = dtype, .num_heads = 8, .num_kv_heads = 2, .head_dim = 128, .rows = 512});
        print_prefill(exec, {.dtype = dtype, .rows = 512, .slots = 512, .causal = true});
        print_prefill(exec, {.dtype = dtype, .rows = 16, .slots = 4096});
        for (std::int64_t const slots : {512, 4096, 16384, 65536, 131072}) {
            print_decode(exec, {.dtype = dtype, .slots = slots}, bandwidth);
        }
        print_decode(exec, {.dtype = dtype, .num_heads = 8, .num_kv_heads = 8, .head_dim = 128},
                     bandwidth);
        print_decode({Backend::cpu, detect_isa(), 1}, {.dtype = dtype, .slots = 65536}, bandwidth);
    }
}

}  // namespace
}  // namespace longhaul::kernels

int main(int argc, char** argv) {
    int const threads = argc > 1 ? std::atoi(argv[1]) : omp_get_max_threads();
    longhaul::kernels::run(std::max(1, threads));
    return 0;
}
