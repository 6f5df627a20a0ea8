#include "io/queue_split.hpp"

#include "base/error.hpp"
#include "io/atomic_file.hpp"
#include "io/job_utf8.hpp"
#include "io/queue_reader.hpp"
#include "io/queue_reader_lines.hpp"
#include "io/queue_split_plan.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <simdjson.h>

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace longhaul::io {
namespace {

constexpr std::size_t kProblemsShown = 10;

// The current folder as the user's shell names it: on clusters its physical name may differ from node to node.
std::filesystem::path current_folder() {
    std::error_code error;
    char const* const named = std::getenv("PWD");
    if (named != nullptr && std::filesystem::equivalent(named, ".", error)) return named;
    return std::filesystem::current_path();
}

SplitPlan read_queue(std::filesystem::path const& queue) {
    SplitPlan plan;
    QueueReader reader(queue);
    std::string problems;
    std::size_t num_problems = 0;
    while (auto const entry = reader.next()) {
        auto const* const bad = std::get_if<BadJob>(&entry->job);
        plan.add(entry->line_number, std::get_if<Job>(&entry->job));
        if (bad != nullptr && !bad->own_id && ++num_problems <= kProblemsShown) {
            problems += fmt::format("\n  {}", bad->error.message);
        }
    }
    LH_VALIDATE(
        num_problems == 0,
        "the queue {} has {} line{} without a usable id, by which results are joined; correct "
        "or remove:{}{}",
        queue.string(), num_problems, num_problems == 1 ? "" : "s", problems,
        num_problems > kProblemsShown ? "\n  ..." : "");
    return plan;
}

void check_folder(std::filesystem::path const& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    std::error_code ignored;
    LH_VALIDATE(std::filesystem::is_directory(folder, ignored),
                "cannot make the folder {}: {}; choose another --output", folder.string(),
                error ? error.message() : "a file of that name is in the way");
    // A part left over from a longer split would be run as if it belonged to this one.
    for (auto const& entry : std::filesystem::directory_iterator(folder)) {
        std::string const name = entry.path().filename().string();
        LH_VALIDATE(
            !name.starts_with("part-") || !name.ends_with(".jsonl"),
            "{} is from an earlier split; remove the parts there or choose another --output",
            entry.path().string());
    }
}

// Walks over the file once more and hands each line to its part.
void copy_lines(std::filesystem::path const& queue, std::filesystem::path const& folder,
                SplitPlan const& plan, std::vector<AtomicFile>& files) {
    LineReader lines(queue, std::numeric_limits<std::int32_t>::max());
    for (SplitPlan::Line const& planned : plan.lines()) {
        auto line = lines.next();
        while (line && line->number < planned.number) line = lines.next();
        LH_VALIDATE(line, "the queue {} was changed while it was read; split it again",
                    queue.string());
        std::string_view text = line->text;
        if (line->number == 1 && text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
        auto const part = plan.documents()[static_cast<std::size_t>(planned.document)].part;
        AtomicFile& file = files[static_cast<std::size_t>(part)];
        if (planned.is_job) {
            file.write(with_absolute_path(text, folder));
        } else {
            file.write(text);
        }
        file.write("\n");
    }
}

std::vector<QueuePart> summarise(SplitPlan const& plan, std::vector<AtomicFile> const& files) {
    std::vector<QueuePart> parts;
    parts.reserve(files.size());
    for (AtomicFile const& file : files) parts.push_back({file.path(), 0, 0, 0});
    for (SplitPlan::Document const& document : plan.documents()) {
        QueuePart& part = parts[static_cast<std::size_t>(document.part)];
        ++part.documents;
        part.bytes += document.bytes;
    }
    for (SplitPlan::Line const& line : plan.lines()) {
        auto const part = plan.documents()[static_cast<std::size_t>(line.document)].part;
        ++parts[static_cast<std::size_t>(part)].jobs;
    }
    return parts;
}

}  // namespace

std::filesystem::path queue_part_path(std::filesystem::path const& folder, std::int64_t part) {
    return folder / fmt::format("part-{}.jsonl", part);
}

std::string with_absolute_path(std::string_view line, std::filesystem::path const& folder) {
    simdjson::padded_string const padded(line);
    simdjson::ondemand::parser parser;
    auto document = parser.iterate(padded);
    for (auto field : document.get_object()) {
        std::string_view key;
        if (field.unescaped_key().get(key)) break;
        if (key != "path") continue;
        std::string_view token;  // as it stands in the line, with its quotes
        std::string_view text;
        auto value = field.value();
        if (value.raw_json_token().get(token) || value.get_string().get(text)) break;
        std::filesystem::path const path(text);
        if (path.is_absolute()) break;
        auto const begin = static_cast<std::size_t>(token.data() - padded.data());
        auto const end = begin + token.find_last_of('"') + 1;
        std::string const absolute = (folder / path).lexically_normal().string();
        LH_VALIDATE(!first_invalid_utf8(absolute),
                    "the path {} is not UTF-8 and cannot stand in a queue; rename the folder",
                    replace_invalid_utf8(absolute));
        return fmt::format("{}{}{}", line.substr(0, begin), nlohmann::json(absolute).dump(),
                           line.substr(end));
    }
    return std::string(line);
}

std::vector<QueuePart> split_queue(std::filesystem::path const& queue,
                                   std::filesystem::path const& output, std::int64_t parts) {
    LH_VALIDATE(parts >= 1 && parts <= kMaxQueueParts, "--parts {}: choose 1 to {}", parts,
                kMaxQueueParts);
    std::error_code error;
    auto const type = std::filesystem::status(queue, error).type();
    LH_VALIDATE(queue != "-" && (type == std::filesystem::file_type::regular ||
                                 type == std::filesystem::file_type::not_found),
                "the queue {} is not a regular file, and it has to be read twice; write it to one",
                queue.string());
    SplitPlan plan = read_queue(queue);
    LH_VALIDATE(
        parts <= plan.num_documents(),
        "the queue {} has {} document{}, too few for {} parts, since jobs on one document stay "
        "together; use --parts {} or less",
        queue.string(), plan.num_documents(), plan.num_documents() == 1 ? "" : "s", parts,
        plan.num_documents());
    plan.assign(parts);
    check_folder(output);
    std::vector<AtomicFile> files;
    for (std::int64_t part = 0; part < parts; ++part) {
        files.emplace_back(queue_part_path(output, part));
    }
    copy_lines(queue, current_folder() / queue.parent_path(), plan, files);
    for (AtomicFile& file : files) file.sync();
    for (AtomicFile& file : files) file.commit();
    sync_folder(output);
    return summarise(plan, files);
}

}  // namespace longhaul::io
