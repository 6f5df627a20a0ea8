#pragma once

#include <sys/types.h>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::system_test {

struct ProcessResult {
    int exit_code = -1;  ///< 128 + the signal where one ended the process
    bool timed_out = false;
    double seconds = 0.0;
    std::string out;
    std::string err;
};

/// A started program, in a process group of its own, with its output in files (so that it never waits for us).
/// Whatever is left of it and of its descendants is killed when the object goes.
class Process {
  public:
    struct Options {
        std::vector<std::string> command;      ///< program (looked up in PATH) and arguments
        std::string input;                     ///< standard input; empty: /dev/null
        std::filesystem::path folder;          ///< for the output files; must exist
        std::vector<std::string> environment;  ///< "NAME=value", on top of ours
    };

    explicit Process(Options options);
    Process(Process const&) = delete;
    Process& operator=(Process const&) = delete;
    ~Process();

    [[nodiscard]] pid_t pid() const { return pid_; }

    /// True once the program has ended.
    [[nodiscard]] bool ended();

    /// Waits until `done` says so; false when the time is over or the program ended before.
    [[nodiscard]] bool wait_until(std::function<bool()> const& done, double limit_s);

    /// Waits for the end; after `limit_s` everything is killed and the result says so.
    [[nodiscard]] ProcessResult wait(double limit_s);

    /// The process of rank `rank` (of Open MPI's world) below this one.
    [[nodiscard]] std::optional<pid_t> find_rank(int rank) const;

    [[nodiscard]] std::string err() const;

  private:
    void kill_all();
    [[nodiscard]] double elapsed_s() const;

    std::filesystem::path out_path_;
    std::filesystem::path err_path_;
    pid_t pid_ = -1;
    double start_s_ = 0.0;
    std::optional<int> status_;
};

/// False once the process has ended, even where nobody has asked for its exit code yet.
[[nodiscard]] bool process_runs(pid_t process);

/// Asks `done` again and again; false when it has not said yes in time.
[[nodiscard]] bool eventually(std::function<bool()> const& done, double limit_s);

/// How long a program may take that should end within `quiet_s` on a machine of its own: longer on a busy one.
[[nodiscard]] double patient(double quiet_s);

}  // namespace longhaul::system_test
