#include "report/format.hpp"

#include <gtest/gtest.h>

namespace longhaul::report {
namespace {

TEST(Format, ShortCountsRoundBeforeTheyChooseAUnit) {
    EXPECT_EQ(short_count(0), "0");
    EXPECT_EQ(short_count(0.4), "0");
    EXPECT_EQ(short_count(999.4), "999");
    EXPECT_EQ(short_count(999.6), "1.0k");
    EXPECT_EQ(short_count(1234), "1.2k");
    EXPECT_EQ(short_count(9949), "9.9k");
    EXPECT_EQ(short_count(9951), "10k");
    EXPECT_EQ(short_count(999'600), "1.0M");
    EXPECT_EQ(short_count(25'000'000), "25M");
    EXPECT_EQ(short_count(9e18), "9000P");
    EXPECT_EQ(short_bytes(98'000'000), "98 MB");
    EXPECT_EQ(short_bytes(17), "17 B");
}

TEST(Format, GroupsThousands) {
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(999), "999");
    EXPECT_EQ(grouped(1000), "1,000");
    EXPECT_EQ(grouped(-123456), "-123,456");
    EXPECT_EQ(grouped(1234567890123), "1,234,567,890,123");
}

TEST(Format, Times) {
    EXPECT_EQ(clock(0), "0:00");
    EXPECT_EQ(clock(59.6), "1:00");
    EXPECT_EQ(clock(3723), "1:02:03");
    EXPECT_EQ(clock(90000), "1 d 01:00");
    EXPECT_EQ(clock(-5), "0:00");
    EXPECT_EQ(clock(1e300), "11574 d 01:46");
    EXPECT_EQ(duration(0.0008), "0.8 ms");
    EXPECT_EQ(duration(0.0123), "12 ms");
    EXPECT_EQ(duration(1.254), "1.25 s");
    EXPECT_EQ(duration(310.2), "310 s");
}

TEST(Format, ColumnsLineUpByCharacters) {
    EXPECT_EQ(aligned({{"a", "1"}, {"\xc3\xa9\xc3\xa9", "12"}, {"x"}}),
              "a    1\n\xc3\xa9\xc3\xa9  12\nx\n");
    EXPECT_EQ(aligned({}), "");
}

}  // namespace
}  // namespace longhaul::report
