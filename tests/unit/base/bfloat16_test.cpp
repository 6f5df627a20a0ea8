#include "base/bfloat16.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace longhaul {
namespace {

TEST(BFloat16, RoundsToNearestEven) {
    EXPECT_EQ(to_bfloat16(1.0F).bits, 0x3f80);
    EXPECT_EQ(to_float(to_bfloat16(1.0F + 0x1p-8F)), 1.0F);                // half way, even below
    EXPECT_EQ(to_float(to_bfloat16(1.0F + 3 * 0x1p-8F)), 1.0F + 0x1p-6F);  // half way, even above
    EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::numeric_limits<float>::signaling_NaN()))));
    EXPECT_TRUE(std::isinf(to_float(to_bfloat16(std::numeric_limits<float>::infinity()))));
}

TEST(HalfToFloat, CoversNormalsSubnormalsAndSpecials) {
    EXPECT_EQ(half_to_float(0x3c00), 1.0F);
    EXPECT_EQ(half_to_float(0xc000), -2.0F);
    EXPECT_EQ(half_to_float(0x0001), 0x1p-24F);
    EXPECT_EQ(half_to_float(0x8001), -0x1p-24F);
    EXPECT_EQ(half_to_float(0x7bff), 65504.0F);
    EXPECT_TRUE(std::isinf(half_to_float(0x7c00)));
    EXPECT_TRUE(std::isnan(half_to_float(0x7e00)));
}

}  // namespace
}  // namespace longhaul
