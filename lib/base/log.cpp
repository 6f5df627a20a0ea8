#include "base/log.hpp"

#include <unistd.h>
#include <atomic>
#include <mutex>

namespace longhaul::log {
namespace {

std::atomic<int> world_rank_shown{-1};
std::mutex before_line_lock;

std::function<void()>& before_line() {
    static std::function<void()> hook;
    return hook;
}

// Skipped where another line is at it: a message must not wait, least of all one from a terminate handler.
void run_before_line() {
    std::unique_lock const lock(before_line_lock, std::try_to_lock);
    if (lock.owns_lock() && before_line()) {
        before_line()();
    }
}

// One write per line: lines of several ranks that share a terminal do not tear each other.
void write_line(std::string const& line) {
    run_before_line();
    std::size_t done = 0;
    while (done < line.size()) {
        auto const written = ::write(STDERR_FILENO, line.data() + done, line.size() - done);
        if (written <= 0) {
            return;
        }
        done += static_cast<std::size_t>(written);
    }
}

void labelled(char const* label, std::string const& text) {
    int const rank = world_rank_shown.load(std::memory_order_relaxed);
    write_line(rank < 0 ? fmt::format("longhaul: {}{}\n", label, text)
                        : fmt::format("longhaul[{}]: {}{}\n", rank, label, text));
}

}  // namespace

void set_rank(int world_rank) { world_rank_shown.store(world_rank, std::memory_order_relaxed); }
void set_before_line(std::function<void()> hook) {
    std::lock_guard const lock(before_line_lock);
    before_line() = std::move(hook);
}

void info_line(std::string const& text) { write_line(fmt::format("longhaul: {}\n", text)); }
void warn_line(std::string const& text) { labelled("warning: ", text); }
void error_line(std::string const& text) { labelled("error: ", text); }

}  // namespace longhaul::log
