#include "app/bench.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "device/error.hpp"
#include "device/gpu.hpp"
#include "app/bench_report.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <iostream>
#include <optional>

namespace longhaul::app {
namespace {

std::vector<BenchRow> measure(BenchOptions const& options, kernels::ExecContext const& exec,
                              BenchCeilings const& ceilings) {
    if (options.what == "attention") {
        return bench_attention(options, exec, ceilings);
    }
    return bench_gemm(options, exec, ceilings);
}

std::vector<BenchRow> measure_engine(BenchOptions const& options, BenchCeilings const& ceilings) {
    if (options.what == "prefill") {
        return bench_prefill(options, ceilings);
    }
    return options.what == "decode" ? bench_decode(options, ceilings) : bench_step(options);
}

void run(BenchOptions const& options) {
    kernels::ExecContext exec;
    exec.backend = options.backend;
    exec.threads = options.threads;
    std::optional<device::Gpu> gpu;
    if (options.backend == kernels::Backend::cuda) {
        gpu.emplace(0);
        exec.gpu = &*gpu;
    }
    std::string const device =
        gpu ? gpu->info().name
            : fmt::format("{} thread{}", options.threads, options.threads == 1 ? "" : "s");
    BenchCeilings const ceilings = measure_ceilings(exec, options.dtype);
    std::vector<BenchRow> rows;
    if (options.what == "attention" || options.what == "gemm") {
        rows = measure(options, exec, ceilings);
    } else {
        exec.gpu = nullptr;
        gpu.reset();  // the engine's rank opens it anew, with all of its memory free
        rows = measure_engine(options, ceilings);
    }
    print_bench(options, device, ceilings, rows, std::cout);
    if (options.json) {
        write_bench_json(options, device, ceilings, rows);
    }
}

}  // namespace

int bench_command(std::vector<std::string> const& words) {
    std::optional<BenchOptions> const options = parse_bench_options(words);
    if (!options) {
        std::fputs(bench_help().c_str(), stdout);
        return 0;
    }
    try {
        run(*options);
    } catch (SetupFailed const& failure) {  // of the engine's set-up, on its only rank
        throw ValidationError(failure.what());
    } catch (device::OutOfDeviceMemory const& failure) {
        throw ValidationError(fmt::format(
            "{}; ask for less context, fewer queries or rows, or a smaller batch", failure.what()));
    } catch (device::DeviceError const& failure) {
        log::error("{}", failure.what());
        return 3;
    }
    return 0;
}

}  // namespace longhaul::app
