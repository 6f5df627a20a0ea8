#include "base/bfloat16.hpp"
#include "base/range.hpp"
#include "kernels/cpu/linear_dnnl.hpp"
#include "kernels/cpu/linear_panel.hpp"
#include "kernels/cpu/linear_parallel.hpp"
#include "kernels/linear_impl.hpp"

#include <algorithm>

namespace longhaul::kernels::cpu {

namespace {

/// Rows of a that stay in the second-level cache while panels stream past them.
constexpr std::int64_t kBlockBytes = std::int64_t{256} << 10;
/// Part of k whose panel stays in that cache too.
constexpr std::int64_t kDepthBytes = 4096;
/// Fewer multiply-adds per thread are not worth waking it.
constexpr std::int64_t kMinimumWork = std::int64_t{32} << 10;

/// Work of one thread.
struct Share {
    Range rows;
    Range columns;  ///< begins at a multiple of kColumnUnit
};

/// Threads as a grid over rows and columns: the one whose largest share is smallest, and of these the one that reads
/// the weights least often.
class ThreadGrid {
  public:
    ThreadGrid(std::int64_t m, std::int64_t n, std::int64_t threads) : m_(m), n_(n) {
        std::int64_t best = 0;
        for (std::int64_t rows = 1; rows <= std::min(threads, m); ++rows) {
            std::int64_t const columns = std::min(threads / rows, ceil_div(n, kColumnUnit));
            std::int64_t const cost =
                ceil_div(m, rows) * ceil_div(ceil_div(n, kColumnUnit), columns);
            if (best == 0 || cost < best) {
                best = cost;
                row_parts_ = rows;
                column_parts_ = columns;
            }
        }
    }

    [[nodiscard]] std::int64_t size() const { return row_parts_ * column_parts_; }
    [[nodiscard]] Share share(std::int64_t index) const {
        return {split_range(m_, row_parts_, index / column_parts_),
                split_range(n_, column_parts_, index % column_parts_, kColumnUnit)};
    }

  private:
    std::int64_t m_;
    std::int64_t n_;
    std::int64_t row_parts_ = 1;
    std::int64_t column_parts_ = 1;
};

/// Walks the panels of one share for one block of rows and one part of k.
void multiply_block(PanelKernel kernel, LinearWeight::Impl const& weight, std::byte const* a,
                    float* c, Share const& share, Range depth) {
    std::int64_t const bytes = dtype_bytes(weight.dtype);
    std::int64_t const panel_bytes = padded_depth(weight.k, weight.dtype) * kPanelWidth * bytes;
    PanelProduct product;
    product.a = a + (share.rows.begin * weight.k + depth.begin) * bytes;
    product.a_stride = weight.k;
    product.rows = share.rows.size();
    product.depth = depth.size();
    product.c_stride = weight.n;
    product.accumulate = depth.begin > 0;
    for (std::int64_t column = share.columns.begin; column < share.columns.end;) {
        std::int64_t const panel = column / kPanelWidth;
        std::int64_t const first = panel * kPanelWidth;
        std::int64_t const end = std::min(first + kPanelWidth, share.columns.end);
        product.panel =
            weight.bytes.data.get() + panel * panel_bytes + depth.begin * kPanelWidth * bytes;
        product.next = end < share.columns.end
                           ? static_cast<std::byte const*>(product.panel) + panel_bytes
                           : nullptr;
        product.c = c + share.rows.begin * weight.n + first;
        product.column_begin = column - first;
        product.column_end = end - first;
        kernel(product);
        column = end;
    }
}

void multiply_share(PanelKernel kernel, LinearWeight::Impl const& weight, std::byte const* a,
                    float* c, Share const& share) {
    std::int64_t const bytes = dtype_bytes(weight.dtype);
    std::int64_t const depth_step = kDepthBytes / bytes;
    for (std::int64_t k = 0; k < weight.k; k += depth_step) {
        Range const depth{k, std::min(k + depth_step, weight.k)};
        std::int64_t const row_step = std::max<std::int64_t>(
            12, round_down(kBlockBytes / (depth.size() * bytes), std::int64_t{12}));
        for (std::int64_t row = share.rows.begin; row < share.rows.end; row += row_step) {
            Share block = share;
            block.rows = {row, std::min(row + row_step, share.rows.end)};
            multiply_block(kernel, weight, a, c, block, depth);
        }
    }
}

}  // namespace

PanelKernel panel_kernel(Isa isa, DType dtype) {
    bool const f32 = dtype == DType::f32;
    switch (isa) {
        case Isa::plain:
            return f32 ? panel_product_plain_f32 : panel_product_plain_bf16;
        case Isa::avx2:
            return f32 ? panel_product_avx2_f32 : panel_product_avx2_bf16;
        case Isa::avx512:
            return f32 ? panel_product_avx512_f32 : panel_product_avx512_bf16;
        case Isa::avx512_bf16:
            return f32 ? panel_product_avx512_f32 : panel_product_avx512_native_bf16;
    }
    return nullptr;
}

void pack_linear(ExecContext const& exec, float const* weight, std::int64_t ld,
                 LinearWeight::Impl& impl) {
    std::int64_t const depth = padded_depth(impl.k, impl.dtype);
    std::int64_t const panels = ceil_div(impl.n, kPanelWidth);
    std::int64_t const panel_elements = depth * kPanelWidth;
    impl.bytes = WeightBytes(panels * panel_elements * dtype_bytes(impl.dtype));
    auto* const f32 = reinterpret_cast<float*>(impl.bytes.data.get());
    auto* const bf16 = reinterpret_cast<BFloat16*>(impl.bytes.data.get());
    parallel_for(exec.threads, panels, [&](std::int64_t panel) {
        std::int64_t const columns = std::min(kPanelWidth, impl.n - panel * kPanelWidth);
        for (std::int64_t k = 0; k < impl.k; ++k) {
            for (std::int64_t column = 0; column < columns; ++column) {
                float const value = weight[(panel * kPanelWidth + column) * ld + k];
                if (impl.dtype == DType::f32) {
                    f32[panel * panel_elements + k * kPanelWidth + column] = value;
                } else {
                    bf16[panel * panel_elements + (k / 2 * kPanelWidth + column) * 2 + k % 2] =
                        to_bfloat16(value);
                }
            }
        }
    });
}

void linear(ExecContext const& exec, void const* a, std::int64_t m,
            LinearWeight::Impl const& weight, float* c) {
    if (dnnl_is_faster(exec, weight.dtype, m) && dnnl_linear(exec.threads, a, m, weight, c)) {
        return;
    }
    PanelKernel const kernel = panel_kernel(exec.isa, weight.dtype);
    std::int64_t const useful = ceil_div(m * weight.n * weight.k, kMinimumWork);
    ThreadGrid const grid(m, weight.n, std::min<std::int64_t>(exec.threads, useful));
    auto const* const bytes = static_cast<std::byte const*>(a);
    parallel_for(static_cast<int>(grid.size()), grid.size(), [&](std::int64_t index) {
        multiply_share(kernel, weight, bytes, c, grid.share(index));
    });
}

}  // namespace longhaul::kernels::cpu
