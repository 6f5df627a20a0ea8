#include "kernels/cpu/linear_dnnl.hpp"
#include "kernels/library_version.hpp"

// A build without oneDNN (LONGHAUL_ONEDNN=OFF): our tiles multiply everything.
namespace longhaul::kernels {

std::string onednn_version() { return "none"; }

namespace cpu {

bool dnnl_is_faster(ExecContext const& /*exec*/, DType /*dtype*/, std::int64_t /*m*/) {
    return false;
}

bool dnnl_linear(int /*threads*/, void const* /*a*/, std::int64_t /*m*/,
                 LinearWeight::Impl const& /*weight*/, float* /*c*/) {
    return false;
}

}  // namespace cpu
}  // namespace longhaul::kernels
