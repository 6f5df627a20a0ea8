#include "comm/cpu_quota.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <fstream>
#include <string>

namespace longhaul::comm {
namespace {

class CpuQuota : public ::testing::Test {
  protected:
    CpuQuota() { std::filesystem::create_directories(folder_ / "cpu"); }
    ~CpuQuota() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] std::optional<int> with_max(std::string const& text) const {
        std::ofstream(folder_ / "cpu.max") << text;
        return cpu_quota(folder_);
    }
    [[nodiscard]] std::optional<int> with_cfs(std::string const& quota,
                                              std::string const& period) const {
        std::ofstream(folder_ / "cpu/cpu.cfs_quota_us") << quota;
        std::ofstream(folder_ / "cpu/cpu.cfs_period_us") << period;
        return cpu_quota(folder_);
    }

  private:
    std::filesystem::path folder_ = std::filesystem::temp_directory_path() /
                                    ("longhaul-cpu-quota-" + std::to_string(::getpid()));
};

TEST_F(CpuQuota, RoundsUp) {
    EXPECT_EQ(with_max("200000 100000\n"), 2);
    EXPECT_EQ(with_max("200001 100000\n"), 3);
    EXPECT_EQ(with_max("1000 100000\n"), 1);
}

TEST_F(CpuQuota, NoneIsNone) {
    EXPECT_EQ(cpu_quota("/nowhere"), std::nullopt);
    for (char const* const text : {"max 100000\n", "", "200000", "200000 0", "-1 100000", "0 5"}) {
        EXPECT_EQ(with_max(text), std::nullopt) << text;
    }
}

TEST_F(CpuQuota, FirstVersionOfControlGroups) {
    EXPECT_EQ(with_cfs("-1\n", "100000\n"), std::nullopt);
    EXPECT_EQ(with_cfs("350000\n", "100000\n"), 4);
}

}  // namespace
}  // namespace longhaul::comm
