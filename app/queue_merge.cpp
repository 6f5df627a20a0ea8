#include "app/queue_merge.hpp"

#include "report/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

namespace longhaul::app {
namespace {

constexpr std::size_t kNamesShown = 20;

void print_names(std::ostream& out, char const* what, std::vector<std::string> const& names) {
    if (names.empty()) return;
    out << fmt::format("{} {}:\n", report::grouped(static_cast<std::int64_t>(names.size())), what);
    for (std::size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) {
        out << fmt::format("  {}\n", names[i]);
    }
    if (names.size() > kNamesShown) {
        out << fmt::format("  ... and {} more\n", names.size() - kNamesShown);
    }
}

}  // namespace

int merge_results_command(io::MergeRequest const& request, std::ostream& out) {
    io::MergeReport const report = io::merge_results(request);
    out << fmt::format("{}: {} results, {} ok, {} failed\n", report.results.string(),
                       report::grouped(report.num_ok + report.num_failed),
                       report::grouped(report.num_ok), report::grouped(report.num_failed));
    print_names(out, "without a result", report.missing);
    print_names(out, "not in the queue and left out", report.left_out);
    print_names(out, "not complete", report.running);
    return report.complete() ? 0 : 1;
}

}  // namespace longhaul::app
