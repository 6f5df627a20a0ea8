#include "base/log.hpp"

#include <gtest/gtest.h>

namespace longhaul::log {
namespace {

TEST(Log, CallsTheHookBeforeEachLine) {
    testing::internal::CaptureStderr();
    int calls = 0;
    set_before_line([&] {
        ++calls;
        std::fputs("<cleared>", stderr);
        std::fflush(stderr);
    });
    info("one");
    warn("two {}", 2);
    error("three");
    set_before_line({});
    error("four");
    EXPECT_EQ(calls, 3);
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "<cleared>longhaul: one\n<cleared>longhaul: warning: two 2\n"
              "<cleared>longhaul: error: three\nlonghaul: error: four\n");
}

}  // namespace
}  // namespace longhaul::log
