// How fast does the GPU attend? Prefill in TFLOP/s, decode in TB/s of keys and values. kUsage says how to call it.
// One line a shape: burst is the median of single calls on a rested GPU; sustained is calls back to back, when the power limit
// sets the clock. The two are never to be compared with each other.

#include "base/error.hpp"
#include "device/gpu.hpp"
#include "bench/attention_cases.hpp"
#include "bench/attention_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace longhaul::kernels {
namespace {

constexpr char kUsage[] = R"(bench_attention_cuda [--long] [--only TEXT] [--fixed] [--path auto|mma]
bench_attention_cuda --list
bench_attention_cuda --serve [--fixed] [--path auto|mma]
  --long      with 1048576 slots, too
  --only      shapes whose name has TEXT in it
  --fixed     cuts KV as a deterministic run does
  --path      mma: in blocks of 64 slots, which every GPU serves with the kernel of sm_80
  --list      the shapes, one JSON object a line; needs no GPU
  --serve     times what standard input asks for (attention_server.hpp), for attention_torch.py
)";

struct Options {
    bool help = false;
    bool with_long = false;
    bool list = false;
    bool serve = false;
    std::string only;
    AttentionRunOptions run;
};

Options parse(std::span<char*> arguments) {
    Options options;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        std::string_view const argument = arguments[i];
        auto const value = [&]() -> std::string_view {
            LH_VALIDATE(i + 1 < arguments.size(), "{} needs a value\n{}", argument, kUsage);
            return arguments[++i];
        };
        if (argument == "--help") {
            options.help = true;
        } else if (argument == "--long") {
            options.with_long = true;
        } else if (argument == "--list") {
            options.list = true;
        } else if (argument == "--serve") {
            options.serve = true;
        } else if (argument == "--fixed") {
            options.run.fixed_splits = true;
        } else if (argument == "--only") {
            options.only = value();
        } else if (argument == "--path") {
            std::string_view const path = value();
            LH_VALIDATE(path == "auto" || path == "mma", "--path {} is not auto or mma\n{}", path,
                        kUsage);
            options.run.force_mma = path == "mma";
        } else {
            LH_VALIDATE(false, "{} is not an option\n{}", argument, kUsage);
        }
    }
    return options;
}

void measure(device::Gpu& gpu, AttentionCase const& at, AttentionRunOptions const& options) {
    AttentionRun run(gpu, at, options);
    double const estimate = run.seconds_per_call(2);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    run.seconds_per_call(2);
    std::vector<double> single;
    for (int i = 0; i < 5; ++i) {
        single.push_back(run.seconds_per_call(1));
    }
    std::nth_element(single.begin(), single.begin() + 2, single.end());
    double const burst = single[2];
    double const sustained =
        run.seconds_per_call(std::clamp(static_cast<int>(0.6 / estimate), 3, 2000));
    auto const rates = [&](double seconds) {
        return fmt::format("{:9.1f} us {:6.1f} TFLOP/s {:5.2f} TB/s", seconds * 1e6,
                           at.flop() / seconds * 1e-12, at.kv_bytes() / seconds * 1e-12);
    };
    fmt::print("{:<34} burst {} | sustained {} | prepare {:.2f} ms | {}\n", at.name, rates(burst),
               rates(sustained), run.prepare_ms(), run.path());
    std::fflush(stdout);
}

void print_list() {
    for (AttentionCase const& at : attention_cases()) {
        fmt::print("{}\n", to_json(at));
    }
}

void measure_all(Options const& options) {
    device::Gpu gpu(0);
    fmt::print("{}\n", gpu.info().name);
    for (AttentionCase const& at : attention_cases()) {
        bool const shown = options.with_long || at.history[0] < 1048576;
        if (shown && at.name.find(options.only) != std::string::npos) {
            measure(gpu, at, options.run);
        }
    }
}

int run(std::span<char*> arguments) {
    Options const options = parse(arguments);
    if (options.help) {
        fmt::print("{}", kUsage);
    } else if (options.list) {
        print_list();
    } else if (options.serve) {
        return serve_attention(options.run) ? 0 : 1;
    } else if (device::list_gpus().empty()) {
        fmt::print("no GPU\n");
    } else {
        measure_all(options);
    }
    return 0;
}

}  // namespace
}  // namespace longhaul::kernels

int main(int argc, char** argv) {
    try {
        return longhaul::kernels::run({argv, static_cast<std::size_t>(argc)});
    } catch (std::exception const& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 1;
    }
}
