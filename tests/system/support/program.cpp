#include "system/support/program.hpp"

#include "support/models/tiny_model.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace longhaul::system_test {
namespace {

std::vector<std::string> environment() {
    return {"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", "OMP_NUM_THREADS=1"};
}

std::vector<std::string> lines_of(std::string const& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
        lines.push_back(line);
    }
    return lines;
}

std::string report(ProcessResult const& result) {
    return "exit code " + std::to_string(result.exit_code) + (result.timed_out ? ", killed" : "") +
           " after " + std::to_string(result.seconds) + " s\n--- standard error:\n" + result.err +
           "--- standard output:\n" + result.out;
}

std::string error_field(Results const& results, std::string const& id, char const* field) {
    auto const place = results.by_id.find(id);
    return place == results.by_id.end() || !place->second.contains("error")
               ? std::string()
               : place->second["error"].value(field, "");
}

}  // namespace

std::string Results::status(std::string const& id) const {
    auto const place = by_id.find(id);
    return place == by_id.end() ? std::string() : place->second.value("status", "");
}

std::string Results::error_code(std::string const& id) const {
    return error_field(*this, id, "code");
}

std::string Results::error_message(std::string const& id) const {
    return error_field(*this, id, "message");
}

ProgramTest::ProgramTest() {
    std::string name = (std::filesystem::temp_directory_path() / "longhaul-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
        throw std::runtime_error("cannot make a temporary folder");
    }
    folder_ = name;
    model = folder_ / "tiny.gguf";
    queue = folder_ / "queue.jsonl";
    output = folder_ / "out";
}

ProgramTest::~ProgramTest() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

std::filesystem::path ProgramTest::write(std::string const& name, std::string const& bytes) const {
    auto path = folder_ / name;
    test::write_file(path, bytes);
    return path;
}

std::string ProgramTest::read(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

Json ProgramTest::read_json(std::string const& name) const {
    return Json::parse(read(output / name), nullptr, false);
}

void ProgramTest::write_queue(std::vector<Json> const& jobs) const {
    std::string text;
    for (Json const& job : jobs) {
        text += job.dump() + "\n";
    }
    write_queue_text(text);
}

Words ProgramTest::run_arguments(Words const& options, int threads) const {
    Words words{"run",           "--model",      model.string(),
                "--queue",       queue.string(), "--output",
                output.string(), "--threads",    std::to_string(threads)};
    words.insert(words.end(), options.begin(), options.end());
    return words;
}

std::unique_ptr<Process> ProgramTest::start_command(Words command, std::string const& input) const {
    return std::make_unique<Process>(
        Process::Options{std::move(command), input, folder_, environment()});
}

std::unique_ptr<Process> ProgramTest::start(Launch const& launch) const {
    if (model == folder_ / "tiny.gguf" && !std::filesystem::exists(model)) {
        test::write_gguf({}, model);
    }
    Words command = launch.ranks > 0 ? mpirun(launch.ranks) : Words{};
    command.push_back(longhaul_program());
    Words const arguments = run_arguments(launch.options, launch.threads);
    command.insert(command.end(), arguments.begin(), arguments.end());
    return start_command(std::move(command), launch.input);
}

ProcessResult ProgramTest::run(Launch const& launch) const {
    return start(launch)->wait(patient(launch.limit_s));
}

ProcessResult ProgramTest::longhaul(Words const& arguments, double limit_s) const {
    Words command{longhaul_program()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return start_command(std::move(command))->wait(patient(limit_s));
}

Results ProgramTest::results() const {
    Results results;
    std::string const text = read(output / "results.jsonl");
    EXPECT_TRUE(text.empty() || text.back() == '\n') << "a torn last line: " << text;
    for (std::string const& line : lines_of(text)) {
        Json json = Json::parse(line, nullptr, false);
        EXPECT_TRUE(json.is_object() && json.contains("id") && json.contains("job_hash")) << line;
        if (json.is_object()) {
            results.by_id[json.value("id", "")] = json;
            results.lines.push_back(std::move(json));
        }
    }
    return results;
}

Json text_job(std::string const& id, std::string const& text, int max_tokens) {
    return {{"id", id}, {"kind", "text"}, {"text", text}, {"max_tokens", max_tokens}};
}

std::vector<Json> long_jobs(int count, int tokens) {
    std::vector<Json> jobs;
    for (int i = 0; i < count; ++i) {
        std::string const number = std::to_string(i);
        jobs.push_back(text_job("job-" + number, "text number " + number, tokens));
        jobs.back()["ignore_eos"] = true;
    }
    return jobs;
}

Words mpirun(int ranks) { return {"mpirun", "-n", std::to_string(ranks), "--oversubscribe"}; }

std::string longhaul_program() { return LH_LONGHAUL_PROGRAM; }

int count_of(std::string const& text, std::string const& part) {
    int count = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++count;
    }
    return count;
}

::testing::AssertionResult ended_with(int exit_code, ProcessResult const& result, double limit_s) {
    if (result.timed_out || result.exit_code != exit_code) {
        return ::testing::AssertionFailure()
               << "expected exit code " << exit_code << "; " << report(result);
    }
    double const limit = patient(limit_s);
    if (result.seconds > limit) {
        return ::testing::AssertionFailure()
               << "took longer than " << limit << " s; " << report(result);
    }
    return ::testing::AssertionSuccess();
}

::testing::AssertionResult failed_with(int exit_code, ProcessResult const& result,
                                       std::vector<std::string> const& parts) {
    auto const ended = ended_with(exit_code, result);
    if (!ended) {
        return ended;
    }
    std::vector<std::string> errors = lines_of(result.err);
    auto const is_error = [](std::string const& line) {
        return line.rfind("longhaul", 0) == 0 && line.find(": error: ") != std::string::npos;
    };
    errors.erase(std::remove_if(errors.begin(), errors.end(), std::not_fn(is_error)), errors.end());
    if (errors.size() != 1) {
        return ::testing::AssertionFailure()
               << errors.size() << " error lines instead of one; " << report(result);
    }
    for (std::string const& part : parts) {
        if (errors[0].find(part) == std::string::npos) {
            return ::testing::AssertionFailure()
                   << "the message lacks '" << part << "': " << errors[0];
        }
    }
    return ::testing::AssertionSuccess();
}

}  // namespace longhaul::system_test
