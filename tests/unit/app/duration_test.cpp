#include "app/duration.hpp"

#include "base/error.hpp"

#include <gtest/gtest.h>

namespace longhaul::app {
namespace {

TEST(Duration, TakesUnitsAndSlurmsTimes) {
    EXPECT_EQ(parse_duration("90", "--x"), 90.0);
    EXPECT_EQ(parse_duration("90s", "--x"), 90.0);
    EXPECT_EQ(parse_duration("0.5s", "--x"), 0.5);
    EXPECT_EQ(parse_duration("10m", "--x"), 600.0);
    EXPECT_EQ(parse_duration("2h", "--x"), 7200.0);
    EXPECT_EQ(parse_duration("1d", "--x"), 86400.0);
    EXPECT_EQ(parse_duration("05:07", "--x"), 307.0);
    EXPECT_EQ(parse_duration("1:00:00", "--x"), 3600.0);
    EXPECT_EQ(parse_duration("2-03:00:01", "--x"), 2 * 86400.0 + 3 * 3600.0 + 1.0);
}

TEST(Duration, RefusesWhatIsNoTime) {
    for (char const* const text : {"", "s", "0", "0:00", "-5", "5x", "1:2:3:4", "1-", ":", "1:",
                                   "UNLIMITED", "INVALID", "nan", "inf", "1e5", "5 m", "--"}) {
        EXPECT_THROW((void)parse_duration(text, "--time-limit"), ValidationError) << text;
    }
}

}  // namespace
}  // namespace longhaul::app
