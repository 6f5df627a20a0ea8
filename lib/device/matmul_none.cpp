#include "base/error.hpp"
#include "device/matmul.hpp"

namespace longhaul::device {

struct Matmul::Impl {};

Matmul::Matmul(StreamView /*stream*/) {}
Matmul::~Matmul() = default;

bool Matmul::run(void const* /*a*/, std::int64_t /*m*/, void const* /*weight*/, std::int64_t /*n*/,
                 std::int64_t /*k*/, DType /*dtype*/, void* /*c*/, DType /*c_dtype*/) {
    throw ValidationError("this build has no CUDA in it");
}

}  // namespace longhaul::device
