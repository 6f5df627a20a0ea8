#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>

/// Diagnostics on stderr, one whole line per call (safe from several threads).
namespace longhaul::log {

/// Rank shown in front of warnings and errors; -1 (no MPI) shows none.
void set_rank(int world_rank);

/// Called before each line, to take what is no whole line off the terminal; empty for nothing. Must not log.
void set_before_line(std::function<void()> hook);

void info_line(std::string const& text);
void warn_line(std::string const& text);
void error_line(std::string const& text);

template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
    info_line(fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
    warn_line(fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
    error_line(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace longhaul::log
