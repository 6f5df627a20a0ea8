#include "base/range.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace longhaul {
namespace {

TEST(SplitRange, PartsCoverTheWholeInOrder) {
    for (std::int64_t total : {0, 1, 7, 8, 9, 30, 49152, 49157}) {
        for (std::int64_t parts : {1, 2, 3, 4, 8}) {
            for (std::int64_t align : {1, 8}) {
                std::int64_t next = 0;
                for (std::int64_t i = 0; i < parts; ++i) {
                    Range const part = split_range(total, parts, i, align);
                    EXPECT_EQ(part.begin, next);
                    EXPECT_GE(part.size(), 0);
                    if (part.end != total) {
                        EXPECT_EQ(part.end % align, 0);
                    }
                    next = part.end;
                }
                EXPECT_EQ(next, total);
            }
        }
    }
}

TEST(SplitRange, PartsDifferByAtMostOneUnit) {
    EXPECT_EQ(split_range(30, 4, 0), (Range{0, 8}));
    EXPECT_EQ(split_range(30, 4, 1), (Range{8, 16}));
    EXPECT_EQ(split_range(30, 4, 2), (Range{16, 23}));
    EXPECT_EQ(split_range(30, 4, 3), (Range{23, 30}));
    EXPECT_EQ(split_range(3, 2, 0), (Range{0, 2}));
}

TEST(CheckedMultiply, RefusesOverflowAndNegatives) {
    EXPECT_EQ(checked_multiply(6, 7), 42);
    EXPECT_FALSE(checked_multiply(std::numeric_limits<std::int64_t>::max(), 2).has_value());
    EXPECT_FALSE(checked_multiply(-1, 2).has_value());
}

}  // namespace
}  // namespace longhaul
