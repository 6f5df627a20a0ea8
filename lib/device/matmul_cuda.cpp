#include "device/matmul.hpp"

#include "base/error.hpp"
#include "device/buffer.hpp"
#include "device/cuda_check.cuh"
#include "device/error.hpp"
#include "device/native.hpp"

#include <cublasLt.h>
#include <fmt/format.h>

#include <map>
#include <tuple>

namespace longhaul::device {
namespace {

constexpr std::int64_t kWorkspaceBytes = std::int64_t{32} << 20;

void check(cublasStatus_t status, char const* call) {
    if (status != CUBLAS_STATUS_SUCCESS) {
        throw DeviceError(
            fmt::format("cuBLASLt failed: {} in {}", cublasLtGetStatusString(status), call));
    }
}

cudaDataType_t cuda_type(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/// One shape: descriptors and the algorithm the library's heuristic prefers.
struct Plan {
    cublasLtMatmulDesc_t operation = nullptr;
    cublasLtMatrixLayout_t weight = nullptr;
    cublasLtMatrixLayout_t rows = nullptr;
    cublasLtMatrixLayout_t result = nullptr;
    cublasLtMatmulAlgo_t algorithm{};
    bool usable = false;

    Plan() = default;
    Plan(Plan const&) = delete;
    Plan& operator=(Plan const&) = delete;
    ~Plan() {
        static_cast<void>(cublasLtMatrixLayoutDestroy(result));
        static_cast<void>(cublasLtMatrixLayoutDestroy(rows));
        static_cast<void>(cublasLtMatrixLayoutDestroy(weight));
        static_cast<void>(cublasLtMatmulDescDestroy(operation));
    }
};

/// m, n, k, types, and what every address is a multiple of.
using Shape = std::tuple<std::int64_t, std::int64_t, std::int64_t, DType, DType, std::uint32_t>;

/// The library assumes 256 unless told; its fast algorithms want 16.
std::uint32_t common_alignment(void const* a, void const* weight, void const* c) {
    constexpr std::uintptr_t kEnough = 16;
    std::uintptr_t const bits = reinterpret_cast<std::uintptr_t>(a) |
                                reinterpret_cast<std::uintptr_t>(weight) |
                                reinterpret_cast<std::uintptr_t>(c) | kEnough;
    return static_cast<std::uint32_t>(bits & (~bits + 1));
}

}  // namespace

struct Matmul::Impl {
    StreamView stream;
    cublasLtHandle_t handle = nullptr;
    void* workspace = nullptr;
    std::map<Shape, Plan> plans;

    void make(Plan& plan, Shape const& shape) const;
};

// The library thinks in columns: row-major c [m, n] is its n x m matrix, so the product it is asked for is
// weight (transposed) times a.
void Matmul::Impl::make(Plan& plan, Shape const& shape) const {
    auto const [m, n, k, dtype, c_dtype, alignment] = shape;
    check(cublasLtMatmulDescCreate(&plan.operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "DescCreate");
    cublasOperation_t const transposed = CUBLAS_OP_T;
    check(cublasLtMatmulDescSetAttribute(plan.operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                         sizeof(transposed)),
          "DescSetAttribute");
    auto const size = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
    check(cublasLtMatrixLayoutCreate(&plan.weight, cuda_type(dtype), size(k), size(n), k),
          "LayoutCreate");
    check(cublasLtMatrixLayoutCreate(&plan.rows, cuda_type(dtype), size(k), size(m), k),
          "LayoutCreate");
    check(cublasLtMatrixLayoutCreate(&plan.result, cuda_type(c_dtype), size(n), size(m), n),
          "LayoutCreate");
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "PreferenceCreate");
    auto const bytes = static_cast<std::size_t>(kWorkspaceBytes);
    check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &bytes, sizeof(bytes)),
          "PreferenceSetAttribute");
    for (cublasLtMatmulPreferenceAttributes_t const attribute :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
        check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &alignment,
                                                   sizeof(alignment)),
              "PreferenceSetAttribute");
    }
    // Where k is split, partial sums are kept in f32: rounded to a bf16 result they would cost percents of a sum that cancels.
    std::uint32_t const reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    check(
        cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                             &reductions, sizeof(reductions)),
        "PreferenceSetAttribute");
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    cublasStatus_t const status =
        cublasLtMatmulAlgoGetHeuristic(handle, plan.operation, plan.weight, plan.rows, plan.result,
                                       plan.result, preference, 1, &found, &count);
    static_cast<void>(cublasLtMatmulPreferenceDestroy(preference));
    if (status != CUBLAS_STATUS_NOT_SUPPORTED) {
        check(status, "AlgoGetHeuristic");
    }
    plan.usable = status == CUBLAS_STATUS_SUCCESS && count > 0;
    plan.algorithm = found.algo;
}

Matmul::Matmul(StreamView stream) : impl_(std::make_unique<Impl>()) {
    impl_->stream = stream;
    check(cublasLtCreate(&impl_->handle), "Create");
    impl_->workspace = native::allocate(kWorkspaceBytes);
}

Matmul::~Matmul() {
    impl_->plans.clear();
    native::release(impl_->workspace);
    static_cast<void>(cublasLtDestroy(impl_->handle));
}

bool Matmul::run(void const* a, std::int64_t m, void const* weight, std::int64_t n, std::int64_t k,
                 DType dtype, void* c, DType c_dtype) {
    LH_EXPECT(m >= 0 && n >= 0 && k >= 0 && (dtype == DType::bf16 || c_dtype == DType::f32));
    if (m == 0 || n == 0) {
        return true;
    }
    if (k == 0) {
        native::fill_zero(c, m * n * dtype_bytes(c_dtype), impl_->stream);
        return true;
    }
    Shape const shape{m, n, k, dtype, c_dtype, common_alignment(a, weight, c)};
    auto const [place, is_new] = impl_->plans.try_emplace(shape);
    Plan& plan = place->second;
    if (is_new) {
        impl_->make(plan, shape);
    }
    if (!plan.usable) {
        return false;
    }
    float const one = 1.0F;
    float const zero = 0.0F;
    check(cublasLtMatmul(impl_->handle, plan.operation, &one, weight, plan.weight, a, plan.rows,
                         &zero, c, plan.result, c, plan.result, &plan.algorithm, impl_->workspace,
                         static_cast<std::size_t>(kWorkspaceBytes),
                         static_cast<cudaStream_t>(impl_->stream.native)),
          "Matmul");
    return true;
}

}  // namespace longhaul::device
