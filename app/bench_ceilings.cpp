#include "base/random_matrix.hpp"
#include "device/buffer.hpp"
#include "kernels/linear.hpp"
#include "kernels/random_fill.hpp"
#include "app/bench_report.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <span>
#include <thread>

namespace longhaul::app {
namespace {

using Clock = std::chrono::steady_clock;

double copy_rate(kernels::ExecContext const& exec) {
    constexpr std::int64_t kBytes = std::int64_t{1} << 30;
    device::Buffer const from(exec.gpu, kBytes);
    device::Buffer const to(exec.gpu, kBytes);
    device::fill_zero(exec.gpu, from.data(), kBytes);
    double const seconds =
        median_seconds(exec, 15, [&] { device::copy(exec.gpu, to.data(), from.data(), kBytes); });
    return 2.0 * static_cast<double>(kBytes) / seconds;
}

// Reading is what a decode does; a CPU's copy would also fetch what it overwrites.
double read_rate(int threads) {
    constexpr std::size_t kWords = std::size_t{32} << 20;
    std::vector<std::uint64_t> const words(kWords, 1);
    std::atomic<std::uint64_t> sum = 0;
    auto const read = [&] {
        std::vector<std::jthread> readers;
        readers.reserve(static_cast<std::size_t>(threads));
        std::size_t const share = kWords / static_cast<std::size_t>(threads);
        for (int t = 0; t < threads; ++t) {
            readers.emplace_back([&, t] {
                auto const part =
                    std::span(words).subspan(static_cast<std::size_t>(t) * share, share);
                sum += std::accumulate(part.begin(), part.end(), std::uint64_t{0});
            });
        }
    };
    double const seconds = median_seconds({}, 5, read);
    return static_cast<double>(kWords * sizeof(std::uint64_t)) / seconds;
}

double product_rate(kernels::ExecContext const& exec, DType dtype) {
    bool const gpu = exec.gpu != nullptr;
    std::int64_t const size = gpu ? 8192 : 2048;
    RandomMatrix const random = make_random_matrix(1, 0, size, 1.0);
    std::int64_t const bytes = size * size * dtype_bytes(dtype);
    device::Buffer a(exec.gpu, bytes);
    kernels::fill_random(exec, random, {0, size}, {0, size}, a.data(), dtype);
    DType const c_dtype = gpu ? dtype : DType::f32;
    device::Buffer const c(exec.gpu, size * size * dtype_bytes(c_dtype));
    kernels::LinearWeight const weight = bench_weight(exec, size, size, dtype);
    double const seconds = median_seconds(exec, gpu ? 11 : 3, [&] {
        kernels::linear(exec, a.data(), size, weight, c.data(), c_dtype);
    });
    auto const n = static_cast<double>(size);
    return 2.0 * n * n * n / seconds;
}

}  // namespace

kernels::LinearWeight bench_weight(kernels::ExecContext const& exec, std::int64_t n, std::int64_t k,
                                   DType dtype) {
    RandomMatrix const random = make_random_matrix(2, 0, k, 1.0);
    if (exec.backend == kernels::Backend::cuda) {
        device::Buffer matrix(exec.gpu, n * k * dtype_bytes(dtype));
        kernels::fill_random(exec, random, {0, n}, {0, k}, matrix.data(), dtype);
        return kernels::LinearWeight::adopt(exec, std::move(matrix), n, k, dtype);
    }
    std::vector<float> matrix(static_cast<std::size_t>(n * k));
    kernels::fill_random(exec, random, {0, n}, {0, k}, matrix.data(), DType::f32);
    return kernels::LinearWeight::pack(exec, matrix.data(), n, k, k, dtype);
}

double median_seconds(kernels::ExecContext const& exec, int repeat,
                      std::function<void()> const& call) {
    auto const seconds_of = [&](int calls) {
        Clock::time_point const begin = Clock::now();
        for (int i = 0; i < calls; ++i) {
            call();
        }
        if (exec.gpu != nullptr) {
            exec.gpu->synchronize();
        }
        return std::chrono::duration<double>(Clock::now() - begin).count() / calls;
    };
    seconds_of(1);
    // A launch and a wait take microseconds: short calls of a GPU run back to back for a millisecond.
    int const calls =
        exec.gpu != nullptr ? std::clamp(static_cast<int>(1e-3 / seconds_of(1)), 1, 200) : 1;
    std::vector<double> seconds;
    seconds.reserve(static_cast<std::size_t>(repeat));
    for (int i = 0; i < repeat; ++i) {
        seconds.push_back(seconds_of(calls));
    }
    return quantile(std::move(seconds), 0.5);
}

BenchCeilings measure_ceilings(kernels::ExecContext const& exec, DType dtype) {
    return {exec.gpu != nullptr ? copy_rate(exec) : read_rate(exec.threads),
            product_rate(exec, dtype)};
}

}  // namespace longhaul::app
