#include "app/inspect.hpp"

#include "base/error.hpp"
#include "app/inspect_kv.hpp"
#include "app/inspect_model.hpp"
#include "app/inspect_queue.hpp"

#include <algorithm>
#include <cstdio>
#include <iostream>

namespace longhaul::app {
namespace {

constexpr char const* kUsage = R"(Usage: longhaul inspect model PATH [--json]
       longhaul inspect queue PATH [--json]
       longhaul inspect kv DIR [--json] [--verify] ...   (longhaul inspect kv --help)

model   what a model file holds: architecture, tensors, tokenizer, and whether longhaul can run it
queue   what a queue holds: jobs per kind, documents, unreadable files, bad lines; exit code 1 if anything is wrong
kv      KV entries on disk: a store of finished documents or a checkpoint; lists, verifies, prunes

Examples:
  longhaul inspect model models/smollm2-135m/model.gguf
  longhaul inspect queue inputs/demo.jsonl --json
  longhaul inspect kv /scratch/kv --verify
)";

}  // namespace

int inspect_command(std::vector<std::string> const& words) {
    if (!words.empty() && words[0] == "kv") {
        return inspect_kv({words.begin() + 1, words.end()}, std::cout);
    }
    auto const asked = [&](char const* word) {
        return std::find(words.begin(), words.end(), word) != words.end();
    };
    if (asked("--help") || asked("-h")) {
        std::fputs(kUsage, stdout);
        return 0;
    }
    std::vector<std::string> plain;
    std::copy_if(words.begin(), words.end(), std::back_inserter(plain),
                 [](auto const& word) { return word != "--json"; });
    LH_VALIDATE(plain.size() == 2,
                "inspect takes what to look at and a path; see `longhaul inspect --help`");
    bool const json = asked("--json");
    if (plain[0] == "model") {
        return inspect_model(plain[1], std::cout, json);
    }
    LH_VALIDATE(plain[0] == "queue",
                "inspect knows `model`, `queue` and `kv`, not '{}'; see `longhaul inspect --help`",
                plain[0]);
    return inspect_queue(plain[1], std::cout, json);
}

}  // namespace longhaul::app
