#pragma once

#include "system/support/process.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace longhaul::system_test {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

/// The error output of a run that fails has to come within this time on a quiet machine (seconds).
inline constexpr double kPrompt = 10.0;

/// The file results.jsonl. Every line of it must be whole.
struct Results {
    std::vector<Json> lines;
    std::map<std::string, Json> by_id;  ///< the last line of each id

    [[nodiscard]] bool has(std::string const& id) const { return by_id.count(id) != 0; }
    [[nodiscard]] std::string status(std::string const& id) const;  ///< "" where there is no line
    [[nodiscard]] std::string error_code(std::string const& id) const;
    [[nodiscard]] std::string error_message(std::string const& id) const;
};

/// Starts longhaul in a temporary folder of the test, with tiny models.
class ProgramTest : public ::testing::Test {
  protected:
    struct Launch {
        Words options = {};      ///< of `longhaul run`, besides --model, --queue, --output
        int threads = 1;         ///< per rank
        int ranks = 0;           ///< 0: without mpirun
        std::string input = {};  ///< standard input
        double limit_s = 60;  ///< on a quiet machine; then everything is killed and the test fails
    };

    ProgramTest();
    ~ProgramTest() override;

    [[nodiscard]] std::filesystem::path const& folder() const { return folder_; }
    [[nodiscard]] std::filesystem::path out() const { return output; }

    std::filesystem::path write(std::string const& name, std::string const& bytes) const;
    [[nodiscard]] static std::string read(std::filesystem::path const& path);
    [[nodiscard]] Json read_json(std::string const& name) const;  ///< a file of the output folder

    /// Writes the queue that `run` uses, one line each.
    void write_queue(std::vector<Json> const& jobs) const;
    void write_queue_text(std::string const& text) const { write("queue.jsonl", text); }

    /// `longhaul run` on model, queue and output.
    [[nodiscard]] ProcessResult run(Launch const& launch) const;
    [[nodiscard]] std::unique_ptr<Process> start(Launch const& launch) const;

    /// longhaul with any arguments, without mpirun.
    [[nodiscard]] ProcessResult longhaul(Words const& arguments, double limit_s = 30) const;

    /// Any command: the ranks of one mpirun that differ, say.
    [[nodiscard]] std::unique_ptr<Process> start_command(Words command,
                                                         std::string const& input = {}) const;

    [[nodiscard]] Words run_arguments(Words const& options, int threads = 1) const;

    [[nodiscard]] Results results() const;

    // What `run` is given; a test may change them.
    std::filesystem::path model;  ///< a tiny model, made by the first run
    std::filesystem::path queue;
    std::filesystem::path output;

  private:
    std::filesystem::path folder_;
};

/// A text job of a few tokens.
[[nodiscard]] Json text_job(std::string const& id, std::string const& text = "some words to read",
                            int max_tokens = 4);

/// `count` jobs "job-0", "job-1", ... that generate `tokens` each, whatever comes.
[[nodiscard]] std::vector<Json> long_jobs(int count, int tokens);

[[nodiscard]] Words mpirun(int ranks);
[[nodiscard]] std::string longhaul_program();

/// Number of times `part` stands in `text`.
[[nodiscard]] int count_of(std::string const& text, std::string const& part);

/// The run ended by itself, in time, with this code.
::testing::AssertionResult ended_with(int exit_code, ProcessResult const& result,
                                      double limit_s = kPrompt);

/// The same, and said why: one line "error: ..." with all of `parts` in it.
::testing::AssertionResult failed_with(int exit_code, ProcessResult const& result,
                                       std::vector<std::string> const& parts);

}  // namespace longhaul::system_test
