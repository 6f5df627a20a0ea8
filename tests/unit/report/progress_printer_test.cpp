#include "report/progress_printer.hpp"

#include <gmock/gmock.h>

#include <fcntl.h>
#include <unistd.h>
#include <array>

namespace longhaul::report {
namespace {

/// Collects what is written to a pipe.
class Pipe {
  public:
    Pipe() { EXPECT_EQ(::pipe2(ends_.data(), O_NONBLOCK), 0); }
    Pipe(Pipe const&) = delete;
    Pipe& operator=(Pipe const&) = delete;
    ~Pipe() {
        for (int const end : ends_) ::close(end);
    }
    [[nodiscard]] int input() const { return ends_[1]; }
    [[nodiscard]] std::string take() const {
        std::string text(1 << 16, '\0');
        auto const got = ::read(ends_[0], text.data(), text.size());
        text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return text;
    }

  private:
    std::array<int, 2> ends_{};
};

ProgressCounters three_jobs(std::int64_t done) {
    ProgressCounters counters;
    counters.jobs_total = 3;
    counters.jobs_done = done;
    return counters;
}

TEST(ProgressPrinter, PlainPrintsALineEveryTenSeconds) {
    Pipe const pipe;
    ProgressPrinter printer(ProgressStyle::plain, pipe.input());
    std::vector<double> printed;
    for (double now = 100; now < 125; now += 0.5) {
        printer.update(three_jobs(1), now);
        if (std::string const text = pipe.take(); !text.empty()) {
            printed.push_back(now);
            EXPECT_EQ(text, "longhaul: jobs 1/3 | 0 + 0 tokens | 0 tok/s | 0%\n");
        }
    }
    EXPECT_THAT(printed, testing::ElementsAre(100, 110, 120));
    printer.clear();
    EXPECT_EQ(pipe.take(), "");
    printer.finish(three_jobs(3), 125);
    EXPECT_EQ(pipe.take(), "longhaul: jobs 3/3 | 0 + 0 tokens | 0 tok/s | 100% | ETA 0:00\n");
}

TEST(ProgressPrinter, TerminalRewritesOneLineASecond) {
    Pipe const pipe;
    ProgressPrinter printer(ProgressStyle::terminal, pipe.input(), 30);
    std::string all;
    int lines = 0;
    for (double now = 0; now < 5; now += 0.25) {
        printer.update(three_jobs(1), now);
        std::string const text = pipe.take();
        lines += text.empty() ? 0 : 1;
        all += text;
    }
    EXPECT_EQ(lines, 5);
    EXPECT_EQ(all.find('\n'), std::string::npos);
    EXPECT_EQ(all.substr(0, 33), "\r\x1b[Klonghaul: jobs 1/3 | 0 + 0 to");
    EXPECT_EQ(all.size(), 5 * (4 + 29U));
    printer.clear();
    EXPECT_EQ(pipe.take(), "\r\x1b[K");
    printer.clear();
    EXPECT_EQ(pipe.take(), "");
    printer.update(three_jobs(1), 4.8);  // the line before it is of 4.0
    EXPECT_THAT(pipe.take(), testing::StartsWith("\r"));
    printer.finish(three_jobs(3), 5.1);
    EXPECT_THAT(pipe.take(), testing::EndsWith("\n"));
}

TEST(ProgressPrinter, QuietPrintsNothing) {
    Pipe const pipe;
    ProgressPrinter printer(ProgressStyle::quiet, pipe.input());
    printer.update(three_jobs(1), 0);
    printer.clear();
    printer.finish(three_jobs(3), 1);
    EXPECT_EQ(pipe.take(), "");
    EXPECT_EQ(ProgressPrinter::for_stderr(true).style(), ProgressStyle::quiet);
}

TEST(ProgressPrinter, AClosedOutputIsNoError) {
    ProgressPrinter printer(ProgressStyle::plain, -1);
    printer.update(three_jobs(1), 0);
    printer.finish(three_jobs(3), 1);
}

}  // namespace
}  // namespace longhaul::report
