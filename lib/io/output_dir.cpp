#include "io/output_dir.hpp"

#include "base/error.hpp"
#include "base/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <sstream>
#include <system_error>

namespace longhaul::io {
namespace {

std::string dump(nlohmann::ordered_json const& value) {
    return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown host";
}

std::string read_small_file(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string utc_now() {
    auto const now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

char const* state_name(RunState state) {
    switch (state) {
        case RunState::running:
            return "running";
        case RunState::complete:
            return "complete";
        case RunState::requeue:
            return "requeue";
    }
    return "unknown";
}

// Empty when the file is not what we write there.
std::optional<RunIdentity> parse_identity(std::string const& text) {
    auto const json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    auto const field = [&](char const* name) {
        auto const place = json.find(name);
        return place != json.end() && place->is_string() ? place->get<std::string>()
                                                         : std::string();
    };
    if (!json.contains("model_fingerprint")) return std::nullopt;
    return RunIdentity{field("model_fingerprint"), field("dtype"), field("template_fingerprint"),
                       field("model_name")};
}

}  // namespace

std::optional<RunIdentity> read_identity(std::filesystem::path const& output) {
    return parse_identity(read_small_file(output / "identity.json"));
}

Decision decide(std::optional<KnownResult> const& known, std::string_view job_hash,
                bool retry_errors) {
    if (!known || known->job_hash != job_hash) return Decision::run;
    if (known->ok) return Decision::skip_done;
    return retry_errors ? Decision::run : Decision::skip_failed;
}

OutputDir::OutputDir(std::filesystem::path folder, RunIdentity const& identity)
    : folder_(std::move(folder)) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    std::error_code ignored;
    LH_VALIDATE(std::filesystem::is_directory(folder_, ignored),
                "cannot make the output folder {}: {}; choose another --output", folder_.string(),
                error ? error.message() : "a file of that name is in the way");
    take_lock();
    check_identity(identity);
    open_results();
}

void OutputDir::take_lock() {
    auto const path = folder_ / "lock";
    lock_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    LH_VALIDATE(lock_.valid(),
                "cannot write into the output folder {}: {}; give write permission or choose "
                "another --output",
                folder_.string(), errno_text(errno));
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
        LH_VALIDATE(errno != EWOULDBLOCK,
                    "the output folder {} is in use by another run ({}); wait for it, stop it, or "
                    "choose another --output",
                    folder_.string(), read_small_file(path));
        LH_VALIDATE(
            false,
            "cannot lock {}: {}; its file system may lack locks: choose an --output on another one",
            path.string(), errno_text(errno));
    }
    std::string const holder = fmt::format("process {} on {}", ::getpid(), host_name());
    int error = ::ftruncate(lock_.get(), 0) != 0 ? errno : write_all(lock_.get(), holder);
    LH_VALIDATE(error == 0, "cannot write {}: {}; free some space or choose another --output",
                path.string(), errno_text(error));
}

void OutputDir::check_identity(RunIdentity const& identity) {
    auto const path = folder_ / "identity.json";
    std::error_code error;
    auto const size = std::filesystem::file_size(results_path(), error);
    if (error || size == 0) {  // nothing yet that another model could have made
        write_file_atomically(path, dump({{"model_fingerprint", identity.model_fingerprint},
                                          {"dtype", identity.dtype},
                                          {"template_fingerprint", identity.template_fingerprint},
                                          {"model_name", identity.model_name}}));
        return;
    }
    LH_VALIDATE(std::filesystem::exists(path, error),
                "{} holds results but {} is missing, so what made them is unknown; choose "
                "another --output",
                results_path().string(), path.string());
    auto const found = read_identity(folder_);
    LH_VALIDATE(found,
                "{} cannot be understood, so what made the results beside it is unknown; choose "
                "another --output",
                path.string());
    auto const check = [&](char const* what, std::string const& before, std::string const& now) {
        LH_VALIDATE(before == now,
                    "the output folder {} holds results of another {} ({}; now {}); choose another "
                    "--output, or run with the "
                    "{} it was made with",
                    folder_.string(), what, before, now, what);
    };
    if (found->model_fingerprint != identity.model_fingerprint) {
        check("model", fmt::format("{} {}", found->model_name, found->model_fingerprint),
              fmt::format("{} {}", identity.model_name, identity.model_fingerprint));
    }
    check("dtype", found->dtype, identity.dtype);
    check("chat template", found->template_fingerprint, identity.template_fingerprint);
}

void OutputDir::open_results() {
    auto const path = results_path();
    results_ = FileDescriptor(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666));
    struct stat status {};
    LH_VALIDATE(results_.valid() && ::fstat(results_.get(), &status) == 0,
                "cannot open {}: {}; give write permission or choose another --output",
                path.string(), errno_text(errno));
    LH_VALIDATE(S_ISREG(status.st_mode), "{} is not a regular file; choose another --output",
                path.string());
    index_.read(path);
    if (index_.foreign_lines() > 0) {
        log::warn(
            "{} line(s) of {} are no results; they are ignored and a complete run leaves them out",
            index_.foreign_lines(), path.string());
    }
    if (index_.valid_bytes() < status.st_size) {
        log::warn("dropping {} bytes of a torn last line from {}",
                  status.st_size - index_.valid_bytes(), path.string());
        if (::ftruncate(results_.get(), index_.valid_bytes()) != 0 ||
            ::fsync(results_.get()) != 0) {
            throw_io_error(path, "repair", errno);
        }
    }
    sync_folder(folder_);
}

void OutputDir::append(std::string_view json_line) {
    auto head = read_result_head(json_line);
    LH_EXPECT(head.has_value() && json_line.find('\n') == std::string_view::npos);
    std::string line(json_line);
    line += '\n';
    int error = write_all(results_.get(), line);
    if (error == 0 && ::fsync(results_.get()) != 0) error = errno;
    if (error != 0) {
        // Half a line must not stay in front of what is appended later; if this fails too, the next start drops it.
        if (::ftruncate(results_.get(), index_.valid_bytes()) == 0) ::fsync(results_.get());
        throw_io_error(results_path(), "append to", error);
    }
    index_.add(*std::move(head), static_cast<std::int64_t>(line.size()));
}

void OutputDir::write_state(RunState state, std::string_view reason) {
    write_file_atomically(folder_ / "state.json", dump({{"state", state_name(state)},
                                                        {"reason", reason},
                                                        {"time", utc_now()},
                                                        {"host", host_name()},
                                                        {"process", ::getpid()}}));
}

void OutputDir::write_run_record(std::string_view json) {
    write_file_atomically(folder_ / "run.json", json);
}

void OutputDir::finish() {
    if (index_.compact()) return;
    auto const path = results_path();
    auto temporary = path;
    temporary += ".tmp";
    FileDescriptor file(
        ::open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666));
    if (!file.valid()) throw_io_error(temporary, "create", errno);
    int error = 0;
    for (ResultIndex::Place const& place : index_.latest_lines()) {
        if (error == 0) error = copy_bytes(results_.get(), file.get(), place.offset, place.bytes);
    }
    if (error == 0 && ::fsync(file.get()) != 0) error = errno;
    if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
    if (error != 0) {
        ::unlink(temporary.c_str());
        throw_io_error(path, "rewrite", error);
    }
    results_ = std::move(file);
    index_.set_compacted();
    sync_folder(folder_);
}

}  // namespace longhaul::io
