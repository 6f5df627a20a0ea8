#include "system/support/process.hpp"

#include <spawn.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace longhaul::system_test {
namespace {

using namespace std::chrono_literals;

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

std::string read_file(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// Ours, with the given settings in place of those of the same name.
std::vector<std::string> full_environment(std::vector<std::string> settings) {
    auto const name_of = [](std::string const& entry) { return entry.substr(0, entry.find('=')); };
    std::vector<std::string> names(settings.size());
    std::transform(settings.begin(), settings.end(), names.begin(), name_of);
    for (char** entry = environ; *entry != nullptr; ++entry) {
        if (std::find(names.begin(), names.end(), name_of(*entry)) == names.end()) {
            settings.emplace_back(*entry);
        }
    }
    return settings;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> result;
    for (std::string& word : words) {
        result.push_back(word.data());
    }
    result.push_back(nullptr);
    return result;
}

/// Where standard input, output and error of a new process go.
class Redirections {
  public:
    Redirections() { ::posix_spawn_file_actions_init(&actions_); }
    Redirections(Redirections const&) = delete;
    Redirections& operator=(Redirections const&) = delete;
    ~Redirections() { ::posix_spawn_file_actions_destroy(&actions_); }

    void open(int descriptor, std::filesystem::path const& path, int flags) {
        ::posix_spawn_file_actions_addopen(&actions_, descriptor, path.c_str(), flags, 0666);
    }
    [[nodiscard]] posix_spawn_file_actions_t const* get() const { return &actions_; }

  private:
    posix_spawn_file_actions_t actions_{};
};

struct ProcessStat {
    char state = 0;
    pid_t parent = 0;
};

// Fields three and four of stat, behind a name that may hold anything; nothing when there is no such process.
std::optional<ProcessStat> stat_of(std::string const& process) {
    std::string const text = read_file("/proc/" + process + "/stat");
    auto const end_of_name = text.rfind(')');
    if (end_of_name == std::string::npos) {
        return std::nullopt;
    }
    ProcessStat stat;
    std::istringstream(text.substr(end_of_name + 1)) >> stat.state >> stat.parent;
    return stat;
}

// Parent of each process, by process.
std::map<pid_t, pid_t> parents() {
    std::map<pid_t, pid_t> result;
    for (auto const& entry : std::filesystem::directory_iterator("/proc")) {
        std::string const name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) {
            continue;
        }
        if (auto const stat = stat_of(name)) {
            result[std::stoi(name)] = stat->parent;
        }
    }
    return result;
}

std::vector<pid_t> descendants(pid_t root) {
    auto const parent_of = parents();
    std::vector<pid_t> found{root};
    for (std::size_t i = 0; i < found.size(); ++i) {
        for (auto const& [process, parent] : parent_of) {
            if (parent == found[i]) {
                found.push_back(process);
            }
        }
    }
    found.erase(found.begin());
    return found;
}

}  // namespace

Process::Process(Options options) {
    static std::atomic<int> number{0};
    auto const stem = "process-" + std::to_string(++number);
    out_path_ = options.folder / (stem + ".out");
    err_path_ = options.folder / (stem + ".err");
    std::filesystem::path input = "/dev/null";
    if (!options.input.empty()) {
        input = options.folder / (stem + ".in");
        std::ofstream(input, std::ios::binary) << options.input;
    }
    Redirections redirections;
    redirections.open(STDIN_FILENO, input, O_RDONLY);
    redirections.open(STDOUT_FILENO, out_path_, O_WRONLY | O_CREAT | O_TRUNC);
    redirections.open(STDERR_FILENO, err_path_, O_WRONLY | O_CREAT | O_TRUNC);

    posix_spawnattr_t attributes{};
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    std::vector<std::string> environment = full_environment(std::move(options.environment));
    start_s_ = now_s();
    int const error =
        ::posix_spawnp(&pid_, options.command.at(0).c_str(), redirections.get(), &attributes,
                       pointers(options.command).data(), pointers(environment).data());
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        throw std::system_error(error, std::generic_category(),
                                "cannot start " + options.command[0]);
    }
}

Process::~Process() {
    if (!ended()) {
        kill_all();
    }
}

double Process::elapsed_s() const { return now_s() - start_s_; }

bool Process::ended() {
    int status = 0;
    if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
        status_ = status;
    }
    return status_.has_value();
}

bool Process::wait_until(std::function<bool()> const& done, double limit_s) {
    bool over = false;
    static_cast<void>(eventually(
        [&] {
            over = done();
            return over || ended();
        },
        limit_s));
    // What the program did last may have come between the question and its end.
    return over || (ended() && done());
}

ProcessResult Process::wait(double limit_s) {
    ProcessResult result;
    result.timed_out = !wait_until([this] { return ended(); }, limit_s);
    result.seconds = elapsed_s();
    if (result.timed_out) {
        kill_all();
    }
    result.exit_code = WIFSIGNALED(*status_) ? 128 + WTERMSIG(*status_) : WEXITSTATUS(*status_);
    result.out = read_file(out_path_);
    result.err = read_file(err_path_);
    return result;
}

// Ranks have process groups of their own: mpirun is asked to end them, then what is left is killed.
void Process::kill_all() {
    std::vector<pid_t> const below = descendants(pid_);
    ::kill(-pid_, SIGTERM);
    static_cast<void>(wait_until([this] { return ended(); }, 3.0));
    for (pid_t const process : below) {
        ::kill(process, SIGKILL);
    }
    ::kill(-pid_, SIGKILL);
    int status = 0;
    if (!status_ && ::waitpid(pid_, &status, 0) == pid_) {
        status_ = status;
    }
}

std::optional<pid_t> Process::find_rank(int rank) const {
    std::string const wanted = std::string(1, '\0') +
                               "OMPI_COMM_WORLD_RANK=" + std::to_string(rank) +
                               std::string(1, '\0');
    for (pid_t const process : descendants(pid_)) {
        std::string const environment =
            '\0' + read_file("/proc/" + std::to_string(process) + "/environ");
        if (environment.find(wanted) != std::string::npos) {
            return process;
        }
    }
    return std::nullopt;
}

std::string Process::err() const { return read_file(err_path_); }

bool process_runs(pid_t process) {
    auto const stat = stat_of(std::to_string(process));
    return stat && stat->state != 'Z' && stat->state != 'X';
}

bool eventually(std::function<bool()> const& done, double limit_s) {
    double const start = now_s();
    while (!done()) {
        if (now_s() - start > limit_s) {
            return false;
        }
        std::this_thread::sleep_for(5ms);
    }
    return true;
}

double patient(double quiet_s) {
    double load = 0.0;
    if (::getloadavg(&load, 1) != 1) {
        return quiet_s;
    }
    unsigned const cores = std::max(1U, std::thread::hardware_concurrency());
    return quiet_s * std::max(1.0, load / cores);
}

}  // namespace longhaul::system_test
