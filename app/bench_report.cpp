#include "app/bench_report.hpp"

#include "base/error.hpp"
#include "base/version.hpp"
#include "engine/run_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <ostream>
#include <string>

namespace longhaul::app {
namespace {

std::string cell(nlohmann::ordered_json const& value) {
    if (value.is_number_float()) {
        auto const number = value.get<double>();
        return number >= 1e4 && number < 1e9 ? fmt::format("{:.0f}", number)
                                             : fmt::format("{:.4g}", number);
    }
    return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string heading(std::string key) {
    std::replace(key.begin(), key.end(), '_', ' ');
    return key;
}

}  // namespace

double quantile(std::vector<double> values, double q) {
    LH_EXPECT(!values.empty() && q >= 0.0 && q <= 1.0);
    auto const middle =
        values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

void print_bench(BenchOptions const& options, std::string const& device,
                 BenchCeilings const& ceilings, std::vector<BenchRow> const& rows,
                 std::ostream& out) {
    out << fmt::format("{} on {}, {}: {} {:.3g} TB/s, square product {:.4g} TFLOP/s\n",
                       options.what, device, dtype_name(options.dtype),
                       options.backend == kernels::Backend::cuda ? "copy" : "reading",
                       ceilings.bytes_per_s * 1e-12, ceilings.flop_per_s * 1e-12);
    print_rows(rows, out);
}

void print_rows(std::vector<BenchRow> const& rows, std::ostream& out) {
    std::vector<std::vector<std::string>> lines;
    for (BenchRow const& row : rows) {
        std::vector<std::string> keys;
        std::vector<std::string> cells;
        for (auto const& [key, value] : row.items()) {
            keys.push_back(heading(key));
            cells.push_back(cell(value));
        }
        if (lines.empty()) {
            lines.push_back(keys);
        }
        lines.push_back(cells);
    }
    for (std::vector<std::string> const& line : lines) {
        for (std::size_t c = 0; c < line.size(); ++c) {
            std::size_t width = 0;
            for (std::vector<std::string> const& other : lines) {
                width = std::max(width, c < other.size() ? other[c].size() : 0);
            }
            out << fmt::format("{}{:>{}}", c == 0 ? "" : "  ", line[c], width);
        }
        out << '\n';
    }
}

void write_bench_json(BenchOptions const& options, std::string const& device,
                      BenchCeilings const& ceilings, std::vector<BenchRow> const& rows) {
    nlohmann::ordered_json json;
    json["bench"] = options.what;
    json["longhaul"] = kVersion;
    json["backend"] = engine::backend_name(options.backend);
    json["device"] = device;
    json["dtype"] = dtype_name(options.dtype);
    json["threads"] = options.threads;
    json["repeat"] = options.repeat;
    json["ceilings"] = {{"bytes_per_s", ceilings.bytes_per_s}, {"flop_per_s", ceilings.flop_per_s}};
    json["rows"] = rows;
    write_json(options, json);
}

void write_json(BenchOptions const& options, nlohmann::ordered_json const& json) {
    std::ofstream file(*options.json);
    // Paths may hold any bytes.
    file << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
    file.close();
    LH_VALIDATE(!file.fail(), "--json {}: the file cannot be written", options.json->string());
}

}  // namespace longhaul::app
