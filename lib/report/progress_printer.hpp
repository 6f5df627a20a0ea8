#pragma once

#include "report/progress_meter.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace longhaul::report {

enum class ProgressStyle {
    quiet,     ///< nothing at all
    terminal,  ///< one line, rewritten in place once a second
    plain      ///< a line of its own every ten seconds
};

/// Prints the progress of a run to a file descriptor. When to print is decided from the time that is passed in.
class ProgressPrinter {
  public:
    /// Requires    width = columns of the terminal, 0 for no limit
    ProgressPrinter(ProgressStyle style, int descriptor, int width = 0);

    /// Standard error: quiet if asked for, otherwise by what it is connected to.
    [[nodiscard]] static ProgressPrinter for_stderr(bool quiet);

    /// Takes in the counters and prints when a line is due: the first at once.
    void update(ProgressCounters const& counters, double now_s);
    /// Takes the line off the terminal, so that a message can be printed; the next one is then due at once.
    void clear();
    /// Prints where things stand at the end, once, and ends the line.
    void finish(ProgressCounters const& counters, double now_s);

    [[nodiscard]] ProgressStyle style() const { return style_; }
    [[nodiscard]] ProgressMeter const& meter() const { return meter_; }

  private:
    void print(std::string_view ending);

    ProgressStyle style_;
    int descriptor_;
    int width_;
    ProgressMeter meter_;
    std::optional<double> printed_s_;
    bool on_screen_ = false;
};

}  // namespace longhaul::report
