#include "app/queue_command.hpp"

#include "base/error.hpp"
#include "app/queue_merge.hpp"
#include "app/queue_split.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <optional>
#include <utility>

namespace longhaul::app {
namespace {

constexpr char const* kUsage =
    R"(Usage: longhaul queue split QUEUE --parts N --output DIR
       longhaul queue merge OUTPUT... --output DIR|FILE.jsonl [--queue QUEUE]

split   cuts a queue into DIR/part-0.jsonl ... DIR/part-(N-1).jsonl, for the tasks of a Slurm array: about equal in size of
        documents, jobs on one document kept together. Lines are copied byte for byte, only a relative "path" becomes
        absolute; results and job_hash of a job stay what they are in the whole queue.
merge   joins the results of several runs into one file, one line per id; with --queue in its order, and naming the ids
        that have no result yet. A folder DIR also gets identity.json: `longhaul run --queue QUEUE --output DIR` goes on
        there. Folders of another model, dtype or chat template, and ids that stand for different jobs, are refused.

Examples:
  longhaul queue split jobs.jsonl --parts 3 --output parts
  sbatch --array=0-2 jobs/array.sbatch model.gguf parts out
  longhaul queue merge out/part-* --output out/all --queue jobs.jsonl
  longhaul queue merge out/part-* --output results.jsonl

Exit codes: 0 done (merge: every job has a good result), 1 merge: some jobs failed, are missing or still run, 2 usage, or
nothing could be written.
)";

/// The words of a command: options with one value each, and the rest.
struct QueueWords {
    std::vector<std::string> plain;
    std::vector<std::pair<std::string, std::string>> options;

    QueueWords(std::vector<std::string> const& words, std::vector<std::string> const& known) {
        for (std::size_t i = 1; i < words.size(); ++i) {
            if (!words[i].starts_with("--")) {
                plain.push_back(words[i]);
                continue;
            }
            auto const equals = words[i].find('=');
            std::string const name = words[i].substr(0, equals);
            LH_VALIDATE(std::find(known.begin(), known.end(), name) != known.end(),
                        "queue {} has no option '{}'; see `longhaul queue --help`", words[0], name);
            LH_VALIDATE(!find(name), "{} is given twice; see `longhaul queue --help`", name);
            bool const next = equals == std::string::npos;
            LH_VALIDATE(!next || i + 1 < words.size(),
                        "{} needs a value; see `longhaul queue --help`", name);
            options.emplace_back(name, next ? words[++i] : words[i].substr(equals + 1));
        }
    }

    [[nodiscard]] std::optional<std::string> find(std::string const& name) const {
        for (auto const& [option, value] : options) {
            if (option == name) return value;
        }
        return std::nullopt;
    }
    [[nodiscard]] std::string required(std::string const& name) const {
        auto const value = find(name);
        LH_VALIDATE(value && !value->empty(), "{} is missing; see `longhaul queue --help`", name);
        return *value;
    }
};

std::int64_t parse_parts(std::string const& text) {
    std::int64_t parts = 0;
    char const* const end = text.data() + text.size();
    auto const [stop, error] = std::from_chars(text.data(), end, parts);
    LH_VALIDATE(error == std::errc{} && stop == end, "--parts {}: give a whole number", text);
    return parts;
}

}  // namespace

int queue_command(std::vector<std::string> const& words) {
    for (std::string const& word : words) {
        if (word == "--help" || word == "-h") {
            std::fputs(kUsage, stdout);
            return 0;
        }
    }
    LH_VALIDATE(!words.empty() && (words[0] == "split" || words[0] == "merge"),
                "queue knows `split` and `merge`{}; see `longhaul queue --help`",
                words.empty() ? "" : fmt::format(", not '{}'", words[0]));
    if (words[0] == "split") {
        QueueWords const given(words, {"--parts", "--output"});
        LH_VALIDATE(given.plain.size() == 1,
                    "queue split takes one queue; see `longhaul queue --help`");
        return split_queue_command(given.plain[0], given.required("--output"),
                                   parse_parts(given.required("--parts")), std::cout);
    }
    QueueWords const given(words, {"--output", "--queue"});
    LH_VALIDATE(!given.plain.empty(),
                "queue merge takes the output folders of runs; see `longhaul queue --help`");
    io::MergeRequest request;
    request.outputs.assign(given.plain.begin(), given.plain.end());
    request.target = given.required("--output");
    request.queue = given.find("--queue");
    return merge_results_command(request, std::cout);
}

}  // namespace longhaul::app
