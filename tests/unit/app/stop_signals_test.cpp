#include "app/stop_signals.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <csignal>

namespace longhaul::app {
namespace {

class StopSignals : public testing::TestWithParam<int> {};

// In a process of its own: the wish to stop cannot be taken back.
TEST_P(StopSignals, ArriveEvenWhereALauncherHadBlockedThem) {
    EXPECT_EXIT(
        {
            sigset_t blocked;
            sigemptyset(&blocked);
            sigaddset(&blocked, GetParam());
            ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
            ::raise(GetParam());
            install_stop_signals();
            ::_exit(stop_requested() ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
}

TEST_P(StopSignals, AreTakenBackFromALibraryThatTookThem) {
    EXPECT_EXIT(
        {
            install_stop_signals();
            std::signal(GetParam(), SIG_IGN);
            bool const early = stop_requested();
            ::raise(GetParam());
            ::_exit(!early && stop_requested() ? 0 : 1);
        },
        testing::ExitedWithCode(0), "taken back");
}

TEST_P(StopSignals, DoNotKillWhereALibraryTookAndBlockedThem) {
    EXPECT_EXIT(
        {
            install_stop_signals();
            std::signal(GetParam(), SIG_DFL);
            sigset_t blocked;
            sigemptyset(&blocked);
            sigaddset(&blocked, GetParam());
            ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
            ::raise(GetParam());
            ::_exit(stop_requested() ? 0 : 1);
        },
        testing::ExitedWithCode(0), "taken back");
}

INSTANTIATE_TEST_SUITE_P(All, StopSignals, testing::Values(SIGUSR1, SIGTERM, SIGINT));

}  // namespace
}  // namespace longhaul::app
