#include "base/random_matrix.hpp"
#include "device/buffer.hpp"
#include "io/model_file.hpp"
#include "kernels/linear.hpp"
#include "kernels/random_fill.hpp"
#include "app/bench_report.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace longhaul::app {
namespace {

struct Layer {
    char const* name;
    std::int64_t n;
    std::int64_t k;
    bool wide;  ///< its result is of the weights' dtype on a GPU, else f32
};

// The shape is all that counts: a folder's weights need not be there.
ModelConfig shape_of(BenchOptions const& options) {
    return std::filesystem::is_directory(options.model)
               ? io::ModelFile::open_random(options.model, 0)->config()
               : io::ModelFile::open(options.model)->config();
}

std::array<Layer, 5> layers_of(ModelConfig const& c) {
    std::int64_t const heads = c.num_heads * c.head_dim;
    return {{{"qkv", heads + 2 * c.num_kv_heads * c.head_dim, c.hidden_dim, true},
             {"projection", c.hidden_dim, heads, false},
             {"gate_up", 2 * c.ffn_dim, c.hidden_dim, true},
             {"down", c.hidden_dim, c.ffn_dim, false},
             {"lm_head", c.vocab_size, c.hidden_dim, false}}};
}

/// As in the engine, where a layer's weights have left the cache when it comes round again: copies of them, used in turn.
std::vector<kernels::LinearWeight> copies(kernels::ExecContext const& exec, Layer const& layer,
                                          DType dtype) {
    std::int64_t const total = std::int64_t{exec.gpu != nullptr ? 512 : 128} << 20;
    std::int64_t const count =
        std::clamp<std::int64_t>(total / (layer.n * layer.k * dtype_bytes(dtype)), 1, 64);
    std::vector<kernels::LinearWeight> weights;
    for (std::int64_t i = 0; i < count; ++i) {
        weights.push_back(bench_weight(exec, layer.n, layer.k, dtype));
    }
    return weights;
}

}  // namespace

std::vector<BenchRow> bench_gemm(BenchOptions const& options, kernels::ExecContext const& exec,
                                 BenchCeilings const& ceilings) {
    std::vector<BenchRow> table;
    for (Layer const& layer : layers_of(shape_of(options))) {
        std::vector<kernels::LinearWeight> const weights = copies(exec, layer, options.dtype);
        std::size_t next = 0;
        for (std::int64_t const rows : options.rows) {
            device::Buffer a(exec.gpu, rows * layer.k * dtype_bytes(options.dtype));
            kernels::fill_random(exec, make_random_matrix(3, 0, layer.k, 1.0), {0, rows},
                                 {0, layer.k}, a.data(), options.dtype);
            DType const c_dtype = layer.wide && exec.gpu != nullptr ? options.dtype : DType::f32;
            device::Buffer const c(exec.gpu, rows * layer.n * dtype_bytes(c_dtype));
            double const seconds = median_seconds(exec, options.repeat, [&] {
                kernels::linear(exec, a.data(), rows, weights[next++ % weights.size()], c.data(),
                                c_dtype);
            });
            double const flop = 2.0 * static_cast<double>(rows) * static_cast<double>(layer.n) *
                                static_cast<double>(layer.k);
            auto const bytes = static_cast<double>(layer.n * layer.k * dtype_bytes(options.dtype) +
                                                   a.bytes() + c.bytes());
            double const product = flop / seconds / ceilings.flop_per_s;
            double const memory = bytes / seconds / ceilings.bytes_per_s;
            table.push_back({{"layer", layer.name},
                             {"n", layer.n},
                             {"k", layer.k},
                             {"rows", rows},
                             {"ms", seconds * 1e3},
                             {"tflop_per_s", flop / seconds * 1e-12},
                             {"gb_per_s", bytes / seconds * 1e-9},
                             {"bound_by", product > memory ? "product" : "memory"},
                             {"share", std::max(product, memory)}});
        }
    }
    return table;
}

}  // namespace longhaul::app
