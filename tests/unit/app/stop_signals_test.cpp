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
            ::kill(::getpid(), GetParam());
            ::_exit(!early && stop_requested() ? 0 : 1);
        },
        testing::ExitedWithCode(0), "taken back");
}

volatile std::sig_atomic_t g_woken = 0;
void wake(int /*signal*/) { g_woken = g_woken + 1; }

TEST_P(StopSignals, WhatALibrarySendsToItselfIsItsOwn) {
    EXPECT_EXIT(
        {
            install_stop_signals();
            std::signal(GetParam(), wake);
            bool asked = stop_requested();
            ::raise(GetParam());
            asked = asked || stop_requested();
            bool const reached = g_woken == 1;
            ::kill(::getpid(), GetParam());
            ::_exit(!asked && reached && g_woken == 1 && stop_requested() ? 0 : 1);
        },
        testing::ExitedWithCode(0), "taken back");
}

TEST_P(StopSignals, GoBackToTheLibraryAtTheEnd) {
    EXPECT_EXIT(
        {
            install_stop_signals();
            std::signal(GetParam(), wake);
            bool asked = stop_requested();
            release_stop_signals();
            for (int i = 0; i < 100; ++i) {
                asked = asked || stop_requested();
            }
            ::kill(::getpid(), GetParam());
            ::_exit(!asked && g_woken == 1 && !stop_requested() ? 0 : 1);
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
