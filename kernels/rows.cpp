#include "kernels/rows.hpp"

#include "base/error.hpp"
#include "kernels/cuda/backend.hpp"

#include <algorithm>
#include <iterator>

namespace longhaul::kernels {

void copy_rows(ExecContext const& exec, CopyRowsArgs const& args) {
    LH_EXPECT(args.num_rows >= 0 && args.width >= 0);
    LH_EXPECT(args.from_rows.empty() || std::ssize(args.from_rows) == args.num_rows);
    LH_EXPECT(args.to_rows.empty() || std::ssize(args.to_rows) == args.num_rows);
    if (args.num_rows == 0 || args.width == 0) {
        return;
    }
    LH_EXPECT(args.from != nullptr && args.to != nullptr);
    if (exec.backend == Backend::cuda) {
        cuda::copy_rows(exec, args);
        return;
    }
    for (std::int64_t i = 0; i < args.num_rows; ++i) {
        auto const row = static_cast<std::size_t>(i);
        std::int64_t const from = args.from_rows.empty() ? i : args.from_rows[row];
        std::int64_t const to = args.to_rows.empty() ? i : args.to_rows[row];
        std::copy_n(args.from + from * args.from_stride, args.width, args.to + to * args.to_stride);
    }
}

}  // namespace longhaul::kernels
