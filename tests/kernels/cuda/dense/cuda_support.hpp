#pragma once

#include "device/buffer.hpp"
#include "device/gpu.hpp"
#include "kernels/dense/dense_support.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace longhaul::kernels::test {

/// Tests on the first GPU; skipped where there is none. Inputs come from `seed`, another one each run unless
/// LONGHAUL_TEST_SEED says which.
class CudaTest : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (!device::list_gpus().empty()) {
            gpu_ = std::make_unique<device::Gpu>(0);
        }
    }
    static void TearDownTestSuite() { gpu_.reset(); }
    void SetUp() override {
        if (gpu_ == nullptr) {
            GTEST_SKIP() << "no GPU here";
        }
        char const* const wanted = std::getenv("LONGHAUL_TEST_SEED");
        seed_ = wanted != nullptr ? static_cast<std::uint32_t>(std::strtoul(wanted, nullptr, 10))
                                  : std::random_device{}();
        RecordProperty("seed", std::to_string(seed_));
        fmt::print("seed {}\n", seed_);
    }
    void TearDown() override {
        if (gpu_ != nullptr) {
            gpu_->synchronize();
        }
    }

    [[nodiscard]] device::Gpu& gpu() const { return *gpu_; }
    [[nodiscard]] ExecContext exec() const { return {Backend::cuda, detect_isa(), 1, gpu_.get()}; }
    [[nodiscard]] std::uint32_t next_seed() { return seed_++; }

    template <class T>
    [[nodiscard]] device::Buffer put(std::vector<T> const& values) const {
        return device::make_buffer(gpu_.get(), std::span<T const>(values));
    }
    /// Elements that nobody has written are NaN (of either type).
    [[nodiscard]] device::Buffer poisoned(std::int64_t bytes) const {
        return put(std::vector<unsigned char>(static_cast<std::size_t>(bytes), 0xff));
    }
    template <class T>
    [[nodiscard]] std::vector<T> get(void const* from, std::int64_t count) const {
        std::vector<T> values(static_cast<std::size_t>(count));
        device::download(gpu_.get(), values.data(), from,
                         count * static_cast<std::int64_t>(sizeof(T)));
        return values;
    }
    /// As floats.
    [[nodiscard]] std::vector<float> get_as(DType dtype, void const* from,
                                            std::int64_t count) const {
        if (dtype == DType::f32) {
            return get<float>(from, count);
        }
        std::vector<float> values;
        for (BFloat16 const value : get<BFloat16>(from, count)) {
            values.push_back(to_float(value));
        }
        return values;
    }

  private:
    static inline std::unique_ptr<device::Gpu> gpu_;
    std::uint32_t seed_ = 0;
};

/// Uniform in [-1, 1), for arrays too long for random_floats.
inline std::vector<float> uniform_floats(std::int64_t count, std::uint32_t seed) {
    std::uint64_t state = seed * 0x9E3779B97F4A7C15U + 1;
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        value = static_cast<float>(static_cast<std::int32_t>(state >> 32)) * 0x1p-31F;
    }
    return values;
}

/// Both NaN, or within `bound` of each other.
inline bool agree(double got, double expected, double bound) {
    if (std::isnan(expected) || std::isinf(expected)) {
        return std::isnan(expected) ? std::isnan(got) : got == expected;
    }
    return std::abs(got - expected) <= bound;
}

template <class T>
[[nodiscard]] std::span<T const> device_span(device::Buffer const& buffer, std::int64_t count) {
    return {buffer.as<T const>(), static_cast<std::size_t>(count)};
}

}  // namespace longhaul::kernels::test
