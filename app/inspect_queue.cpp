#include "app/inspect_queue.hpp"

#include "io/document.hpp"
#include "io/queue_reader.hpp"
#include "report/format.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <ostream>

namespace longhaul::app {
namespace {

constexpr std::size_t kBiggestShown = 5;
constexpr std::size_t kProblemsShown = 20;

struct Problem {
    std::int64_t line = 0;
    std::string id;
    io::JobError error;
};

struct Big {
    std::int64_t bytes = 0;
    std::string id;
    std::string where;
};

struct Findings {
    struct Kind {
        std::int64_t jobs = 0;
        std::int64_t bytes = 0;
    };
    std::map<std::string, Kind> kinds;
    std::vector<Big> biggest;  // first the biggest
    std::vector<Problem> problems;
    std::int64_t lines = 0;
};

void note_size(Findings& findings, io::Job const& job, std::int64_t bytes) {
    auto& kind = findings.kinds[io::job_kind_name(job.kind)];
    ++kind.jobs;
    kind.bytes += bytes;
    std::string where = job.path   ? job.path->string()
                        : job.text ? "text in the queue"
                                   : "token ids in the queue";
    auto const place =
        std::upper_bound(findings.biggest.begin(), findings.biggest.end(), bytes,
                         [](std::int64_t size, Big const& big) { return size > big.bytes; });
    findings.biggest.insert(place, Big{bytes, job.id, std::move(where)});
    if (findings.biggest.size() > kBiggestShown) findings.biggest.pop_back();
}

Findings look_through(std::filesystem::path const& queue) {
    Findings findings;
    io::QueueReader reader(queue, {.scan_first = false});
    while (auto const entry = reader.next()) {
        ++findings.lines;
        if (auto const* bad = std::get_if<io::BadJob>(&entry->job)) {
            findings.problems.push_back({entry->line_number, bad->id, bad->error});
            continue;
        }
        auto const& job = std::get<io::Job>(entry->job);
        auto const size = io::document_bytes(job);
        if (auto const* error = std::get_if<io::JobError>(&size)) {
            findings.problems.push_back({entry->line_number, job.id, *error});
        } else {
            note_size(findings, job, std::get<std::int64_t>(size));
        }
    }
    if (findings.lines == 0) {
        findings.problems.push_back(
            {0, "", {"empty", "the queue has no jobs; write one JSON object a line"}});
    }
    return findings;
}

void print_json(Findings const& findings, std::filesystem::path const& queue, std::ostream& out) {
    nlohmann::ordered_json json = {{"queue", queue.string()}, {"lines", findings.lines}};
    json["kinds"] = nlohmann::ordered_json::object();
    for (auto const& [name, kind] : findings.kinds)
        json["kinds"][name] = {{"jobs", kind.jobs}, {"bytes", kind.bytes}};
    json["biggest"] = nlohmann::ordered_json::array();
    for (Big const& big : findings.biggest) {
        json["biggest"].push_back({{"id", big.id}, {"bytes", big.bytes}, {"where", big.where}});
    }
    json["problems"] = nlohmann::ordered_json::array();
    for (Problem const& problem : findings.problems) {
        json["problems"].push_back({{"line", problem.line},
                                    {"id", problem.id},
                                    {"code", problem.error.code},
                                    {"message", problem.error.message}});
    }
    out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

void print_table(Findings const& findings, std::filesystem::path const& queue, std::ostream& out) {
    out << fmt::format("{}: {} job{}\n\n", queue.string(), report::grouped(findings.lines),
                       findings.lines == 1 ? "" : "s");
    std::vector<std::vector<std::string>> kinds = {{"kind", "jobs", "size"}};
    for (auto const& [name, kind] : findings.kinds) {
        kinds.push_back({name, report::grouped(kind.jobs), report::short_bytes(kind.bytes)});
    }
    std::vector<std::vector<std::string>> biggest = {{"biggest", "size", "where"}};
    for (Big const& big : findings.biggest)
        biggest.push_back({big.id, report::short_bytes(big.bytes), big.where});
    if (!findings.kinds.empty())
        out << report::aligned(kinds) << "\n" << report::aligned(biggest) << "\n";
    if (findings.problems.empty()) {
        out << "nothing wrong\n";
        return;
    }
    out << fmt::format("{} problem{}:\n", findings.problems.size(),
                       findings.problems.size() == 1 ? "" : "s");
    for (std::size_t i = 0; i < std::min(findings.problems.size(), kProblemsShown); ++i) {
        Problem const& problem = findings.problems[i];
        out << fmt::format("  line {}, {} ({}): {}\n", problem.line, problem.id, problem.error.code,
                           problem.error.message);
    }
    if (findings.problems.size() > kProblemsShown) {
        out << fmt::format("  ... and {} more; --json lists them all\n",
                           findings.problems.size() - kProblemsShown);
    }
}

}  // namespace

int inspect_queue(std::filesystem::path const& queue, std::ostream& out, bool json) {
    Findings const findings = look_through(queue);
    if (json) {
        print_json(findings, queue, out);
    } else {
        print_table(findings, queue, out);
    }
    return findings.problems.empty() ? 0 : 1;
}

}  // namespace longhaul::app
