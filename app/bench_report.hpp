#pragma once

#include "base/types.hpp"
#include "device/gpu.hpp"
#include "kernels/linear.hpp"
#include "app/bench_options.hpp"

#include <nlohmann/json.hpp>

#include <functional>
#include <iosfwd>
#include <vector>

namespace longhaul::app {

/// What a measurement hands back: one object a row, all with the same keys, units in their names.
using BenchRow = nlohmann::ordered_json;

/// What the machine reaches at best, measured: bytes a second (a GPU's copy, counted twice, as it reads and writes; a CPU's
/// reading) and FLOP a second (a large square product of the dtype).
struct BenchCeilings {
    double bytes_per_s = 0.0;
    double flop_per_s = 0.0;
};
[[nodiscard]] BenchCeilings measure_ceilings(kernels::ExecContext const& exec, DType dtype);

/// Seconds of a call: the median of `repeat` measurements after a first call that does not count. On a GPU a measurement is of
/// as many calls as take a millisecond, and waits for them.
[[nodiscard]] double median_seconds(kernels::ExecContext const& exec, int repeat,
                                    std::function<void()> const& call);
/// A weight of random numbers.
[[nodiscard]] kernels::LinearWeight bench_weight(kernels::ExecContext const& exec, std::int64_t n,
                                                 std::int64_t k, DType dtype);
/// Requires at least one value.
[[nodiscard]] double quantile(std::vector<double> values, double q);

/// A table: the keys over the values.
void print_rows(std::vector<BenchRow> const& rows, std::ostream& out);
/// Throws ValidationError when the file of --json cannot be written.
void write_json(BenchOptions const& options, nlohmann::ordered_json const& json);

void print_bench(BenchOptions const& options, std::string const& device,
                 BenchCeilings const& ceilings, std::vector<BenchRow> const& rows,
                 std::ostream& out);
/// Throws ValidationError when the file cannot be written.
void write_bench_json(BenchOptions const& options, std::string const& device,
                      BenchCeilings const& ceilings, std::vector<BenchRow> const& rows);

/// The measurements.
[[nodiscard]] std::vector<BenchRow> bench_attention(BenchOptions const& options,
                                                    kernels::ExecContext const& exec,
                                                    BenchCeilings const& ceilings);
[[nodiscard]] std::vector<BenchRow> bench_gemm(BenchOptions const& options,
                                               kernels::ExecContext const& exec,
                                               BenchCeilings const& ceilings);
/// These open the GPU by themselves.
[[nodiscard]] std::vector<BenchRow> bench_prefill(BenchOptions const& options,
                                                  BenchCeilings const& ceilings);
[[nodiscard]] std::vector<BenchRow> bench_decode(BenchOptions const& options,
                                                 BenchCeilings const& ceilings);
[[nodiscard]] std::vector<BenchRow> bench_step(BenchOptions const& options);

}  // namespace longhaul::app
