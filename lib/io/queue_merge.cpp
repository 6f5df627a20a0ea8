#include "io/queue_merge.hpp"

#include "base/error.hpp"
#include "io/atomic_file.hpp"
#include "io/output_dir.hpp"
#include "io/queue_reader.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace longhaul::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kConflictsShown = 20;

std::string read_text(fs::path const& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// An output folder with its results file held open: a run that completes meanwhile replaces the file, not what we read.
struct Source {
    fs::path folder;
    FileDescriptor results;
    RunIdentity identity;
    bool complete = false;
    ResultIndex index;
};

Source open_source(fs::path const& folder) {
    Source source;
    source.folder = folder;
    fs::path const results = folder / "results.jsonl";
    source.results = FileDescriptor(::open(results.c_str(), O_RDONLY | O_CLOEXEC));
    LH_VALIDATE(source.results.valid(),
                "cannot open {}: {}; name folders that `longhaul run --output` has written",
                results.string(), errno_text(errno));
    auto const identity = read_identity(folder);
    LH_VALIDATE(identity,
                "{} is missing or cannot be understood, so what made the results beside it is "
                "unknown; leave the folder out",
                (folder / "identity.json").string());
    source.identity = *identity;
    auto const state = nlohmann::json::parse(read_text(folder / "state.json"), nullptr, false);
    source.complete = state.is_object() && state.value("state", "") == "complete";
    source.index.read(fmt::format("/proc/self/fd/{}", source.results.get()));
    return source;
}

void check_same(Source const& first, Source const& other) {
    auto const check = [&](char const* what, std::string const& a, std::string const& b) {
        LH_VALIDATE(a == b,
                    "{} and {} hold results of another {} each ({}; {}); merge only runs with the "
                    "same {}",
                    first.folder.string(), other.folder.string(), what, a, b, what);
    };
    RunIdentity const& a = first.identity;
    RunIdentity const& b = other.identity;
    if (a.model_fingerprint != b.model_fingerprint) {
        check("model", fmt::format("{} {}", a.model_name, a.model_fingerprint),
              fmt::format("{} {}", b.model_name, b.model_fingerprint));
    }
    check("dtype", a.dtype, b.dtype);
    check("chat template", a.template_fingerprint, b.template_fingerprint);
}

/// The result that holds for each id.
class Chosen {
  public:
    struct Entry {
        std::size_t source = 0;
        ResultIndex::Latest result;
        bool in_queue = false;
    };

    explicit Chosen(std::vector<Source> const& sources) {
        for (std::size_t i = 0; i < sources.size(); ++i) {
            for (ResultIndex::Latest& result : sources[i].index.latest()) {
                add({i, std::move(result), false}, sources);
            }
        }
        LH_VALIDATE(num_conflicts_ == 0,
                    "{} id{} of different jobs (job_hash) in different folders:{}{}\nmerge only "
                    "folders of one queue; after a change of the queue run its parts again",
                    num_conflicts_, num_conflicts_ == 1 ? "" : "s", conflicts_,
                    num_conflicts_ > kConflictsShown ? "\n  ..." : "");
    }

    [[nodiscard]] std::vector<Entry> const& entries() const { return entries_; }

    /// The entry of an id of the queue; null when it has none.
    [[nodiscard]] Entry const* take(std::string const& id) {
        auto const place = by_id_.find(id);
        if (place == by_id_.end()) return nullptr;
        entries_[place->second].in_queue = true;
        return &entries_[place->second];
    }

  private:
    void add(Entry entry, std::vector<Source> const& sources) {
        auto const [place, fresh] = by_id_.try_emplace(entry.result.id, entries_.size());
        if (fresh) {
            entries_.push_back(std::move(entry));
            return;
        }
        Entry& before = entries_[place->second];
        if (before.result.known.job_hash != entry.result.known.job_hash) {
            if (++num_conflicts_ <= kConflictsShown) {
                conflicts_ += fmt::format("\n  \"{}\" in {} and {}", entry.result.id,
                                          sources[before.source].folder.string(),
                                          sources[entry.source].folder.string());
            }
        } else if (entry.result.known.ok || !before.result.known.ok) {
            before = std::move(entry);
        }
    }

    std::vector<Entry> entries_;
    std::unordered_map<std::string, std::size_t> by_id_;
    std::size_t num_conflicts_ = 0;
    std::string conflicts_;
};

std::vector<Chosen::Entry const*> in_order(Chosen& chosen, MergeRequest const& request,
                                           MergeReport& report) {
    std::vector<Chosen::Entry const*> order;
    if (!request.queue) {
        for (Chosen::Entry const& entry : chosen.entries()) order.push_back(&entry);
        return order;
    }
    QueueReader reader(*request.queue);
    while (auto const line = reader.next()) {
        auto const* const bad = std::get_if<BadJob>(&line->job);
        std::string const& id = bad != nullptr ? bad->id : std::get<Job>(line->job).id;
        Chosen::Entry const* const entry = chosen.take(id);
        if (entry == nullptr) {
            report.missing.push_back(id);
        } else {
            order.push_back(entry);
        }
    }
    for (Chosen::Entry const& entry : chosen.entries()) {
        if (!entry.in_queue) report.left_out.push_back(entry.result.id);
    }
    return order;
}

/// Where the results go, and the folder whose identity.json says what made them; checks that no run works there.
fs::path prepare_target(fs::path const& target, bool is_file) {
    fs::path results = is_file ? target : target / "results.jsonl";
    fs::path const folder = is_file && !target.has_parent_path() ? "." : results.parent_path();
    std::error_code error;
    fs::create_directories(folder, error);
    std::error_code ignored;
    LH_VALIDATE(fs::is_directory(folder, ignored),
                "cannot make the folder {}: {}; choose another --output", folder.string(),
                error ? error.message() : "a file of that name is in the way");
    LH_VALIDATE(results.filename() != "results.jsonl" || !fs::exists(folder / "lock", ignored),
                "{} is the output folder of a run; choose another --output", folder.string());
    return results;
}

}  // namespace

MergeReport merge_results(MergeRequest const& request) {
    LH_EXPECT(!request.outputs.empty());
    bool const is_file = request.target.extension() == ".jsonl";
    MergeReport report;
    std::vector<Source> sources;
    for (fs::path const& output : request.outputs) {
        sources.push_back(open_source(output));
        check_same(sources.front(), sources.back());
        if (!sources.back().complete) report.running.push_back(output.string());
    }
    Chosen chosen(sources);
    auto const order = in_order(chosen, request, report);

    report.results = prepare_target(request.target, is_file);
    AtomicFile file(report.results);
    for (Chosen::Entry const* const entry : order) {
        auto const& place = entry->result.place;
        file.append_from(sources[entry->source].results.get(), place.offset, place.bytes);
        ++(entry->result.known.ok ? report.num_ok : report.num_failed);
    }
    if (!is_file) {
        // Before the results: results without it would be refused by a run, the other way round is harmless.
        write_file_atomically(request.target / "identity.json",
                              read_text(sources.front().folder / "identity.json"));
    }
    file.commit();
    sync_folder(report.results.has_parent_path() ? report.results.parent_path() : ".");
    return report;
}

}  // namespace longhaul::io
