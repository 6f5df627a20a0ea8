#include "app/inspect_kv.hpp"

#include "base/error.hpp"
#include "io/checkpoint_scan.hpp"
#include "io/kv_store_files.hpp"
#include "app/byte_size.hpp"
#include "app/duration.hpp"

#include <algorithm>
#include <ostream>
#include <utility>

namespace longhaul::app {
namespace {

constexpr char const* kUsage =
    R"(Usage: longhaul inspect kv DIR [--json] [--verify] [--master FILE.h5]
       longhaul inspect kv STORE [--prune-size SIZE] [--prune-age TIME] [--prune-damaged]

Looks at KV entries on disk. DIR is a KV store (what `longhaul run --kv-store` keeps: finished documents) or a checkpoint
folder (OUTPUT/checkpoint of a run that has not ended: its manifests, sequences and segments). Runs may use it meanwhile.

  --json             all of it as JSON, names and keys in full
  --verify           read every block and check that each document is whole
  --prune-size SIZE  remove the least recently used documents until the rest takes no more than this (50G, 512M)
  --prune-age TIME   remove documents that no run has used for longer than this (12h, 30d)
  --prune-damaged    verify, then remove the documents that are not whole: the next run computes them again
  --master FILE.h5   write a small file that shows a store as one HDF5 file of virtual datasets, a group per document

Pruning waits up to a minute for runs that are adding documents, and removes what broken-off runs left behind. A document
that was removed is computed again when it is next asked about. What a checkpoint links to takes room until it ends.

Examples:
  longhaul inspect kv /scratch/kv
  longhaul inspect kv /scratch/kv --verify --json
  longhaul inspect kv /scratch/kv --prune-size 500G --prune-age 30d
  longhaul inspect kv out/checkpoint --verify

Exit codes: 0 all is well, 1 damage was found, 2 usage, or the folder cannot be used.
)";

KvInspection parse(std::vector<std::string> const& words) {
    constexpr char const* kSee = "see `longhaul inspect kv --help`";
    KvInspection asked;
    for (std::size_t i = 0; i < words.size(); ++i) {
        auto const equals = words[i].find('=');
        bool const option = words[i].starts_with("--");
        std::string const name = option ? words[i].substr(0, equals) : words[i];
        auto const value = [&] {
            if (equals != std::string::npos) return words[i].substr(equals + 1);
            LH_VALIDATE(i + 1 < words.size(), "{} needs a value; {}", name, kSee);
            return words[++i];
        };
        if (!option) {
            LH_VALIDATE(asked.folder.empty(), "inspect kv takes one folder, not '{}', too; {}",
                        name, kSee);
            asked.folder = name;
        } else if (words[i] == "--json") {
            asked.json = true;
        } else if (words[i] == "--verify") {
            asked.verify = true;
        } else if (words[i] == "--prune-damaged") {
            asked.prune_damaged = asked.verify = true;
        } else if (name == "--prune-size") {
            asked.prune_bytes = parse_byte_size(value(), name);
        } else if (name == "--prune-age") {
            asked.prune_age_s = parse_duration(value(), name);
        } else if (name == "--master") {
            asked.master = value();
        } else {
            LH_VALIDATE(false, "inspect kv has no option '{}'; {}", words[i], kSee);
        }
    }
    LH_VALIDATE(!asked.folder.empty(), "inspect kv takes a folder; {}", kSee);
    return asked;
}

}  // namespace

int inspect_kv(std::vector<std::string> const& words, std::ostream& out) {
    if (std::any_of(words.begin(), words.end(),
                    [](auto const& word) { return word == "--help" || word == "-h"; })) {
        out << kUsage;
        return 0;
    }
    KvInspection const asked = parse(words);
    std::string const folder = asked.folder.string();
    LH_VALIDATE(std::filesystem::is_directory(asked.folder),
                "{} is no folder; give a KV store or a checkpoint folder", folder);
    if (std::filesystem::exists(asked.folder / "format")) return inspect_kv_store(asked, out);
    LH_VALIDATE(
        !io::list_checkpoint(asked.folder).manifests.empty(),
        "{} is neither a KV store (no file \"format\") nor a checkpoint folder with an epoch "
        "in it (no file manifest-*.json){}",
        folder,
        std::filesystem::is_directory(asked.folder / "checkpoint")
            ? "; did you mean " + (asked.folder / "checkpoint").string() + "?"
            : "; name the folder of --kv-store or OUTPUT/checkpoint");
    LH_VALIDATE(
        !asked.prunes(),
        "{} is a checkpoint, which its run prunes by itself; only KV stores are pruned here",
        folder);
    LH_VALIDATE(!asked.master, "--master is for KV stores; {} is a checkpoint", folder);
    return inspect_checkpoint(asked, out);
}

}  // namespace longhaul::app
