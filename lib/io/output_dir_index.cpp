#include "io/output_dir_index.hpp"

#include "base/error.hpp"
#include "io/queue_reader_lines.hpp"

#include <simdjson.h>

#include <algorithm>
#include <limits>

namespace longhaul::io {
namespace {

std::optional<ResultHead> head_of(simdjson::dom::parser& parser, char const* text, std::size_t size,
                                  bool padded) {
    simdjson::dom::object object;
    // The whole line is parsed, not only the head: what counts as a result must be one from end to end.
    if (parser.parse(text, size, !padded).get_object().get(object)) return std::nullopt;
    std::string_view id;
    std::string_view status;
    std::string_view job_hash;
    if (object["id"].get_string().get(id) || object["status"].get_string().get(status) ||
        object["job_hash"].get_string().get(job_hash)) {
        return std::nullopt;
    }
    if (status != "ok" && status != "error") return std::nullopt;
    return ResultHead{std::string(id), {std::string(job_hash), status == "ok"}};
}

}  // namespace

std::optional<ResultHead> read_result_head(std::string_view json_line) {
    simdjson::dom::parser parser;
    return head_of(parser, json_line.data(), json_line.size(), false);
}

void ResultIndex::read(std::filesystem::path const& results) {
    LineReader lines(results, std::numeric_limits<std::int32_t>::max());
    simdjson::dom::parser parser;
    std::int64_t torn_lines = 0;
    while (auto const line = lines.next()) {
        LH_VALIDATE(!line->too_long,
                    "line {} of {} is longer than any result; choose another --output",
                    line->number, results.string());
        // No JSON line holds a NUL byte: a file system leaves them where a write had not come through.
        bool const torn = !line->ended || line->text.find('\0') != std::string_view::npos;
        auto head =
            torn ? std::nullopt : head_of(parser, line->text.data(), line->text.size(), true);
        if (torn) {
            ++torn_lines;
            continue;
        }
        foreign_lines_ += torn_lines + (head ? 0 : 1);
        torn_lines = 0;
        valid_bytes_ = line->offset;
        if (head) {
            add(*std::move(head), line->bytes);
        } else {
            valid_bytes_ += line->bytes;
        }
    }
    LH_VALIDATE(lines.failure().empty(), "cannot read {} to its end: {}; check the file system",
                results.string(), lines.failure());
    LH_VALIDATE(
        foreign_lines_ == 0 || lines_ > 0,
        "{} has {} line(s) and none of them is a result as longhaul writes it; if it was "
        "reformatted, bring it back to one result a line (`jq -c . FILE`), or choose another "
        "--output",
        results.string(), foreign_lines_);
}

void ResultIndex::add(ResultHead head, std::int64_t bytes) {
    Entry& entry = entries_[std::move(head.id)];
    entry.known = std::move(head.known);
    entry.place = {valid_bytes_, bytes};
    valid_bytes_ += bytes;
    ++lines_;
}

std::optional<KnownResult> ResultIndex::find(std::string const& id) const {
    auto const place = entries_.find(id);
    return place == entries_.end() ? std::nullopt : std::optional(place->second.known);
}

std::vector<ResultIndex::Place> ResultIndex::latest_lines() const {
    std::vector<Place> places;
    for (auto const& [id, entry] : entries_) places.push_back(entry.place);
    std::sort(places.begin(), places.end(),
              [](Place const& a, Place const& b) { return a.offset < b.offset; });
    return places;
}

std::vector<ResultIndex::Latest> ResultIndex::latest() const {
    std::vector<Latest> results;
    for (auto const& [id, entry] : entries_) results.push_back({id, entry.known, entry.place});
    std::sort(results.begin(), results.end(),
              [](Latest const& a, Latest const& b) { return a.place.offset < b.place.offset; });
    return results;
}

void ResultIndex::set_compacted() {
    std::vector<Entry*> order;
    for (auto& [id, entry] : entries_) order.push_back(&entry);
    std::sort(order.begin(), order.end(),
              [](Entry const* a, Entry const* b) { return a->place.offset < b->place.offset; });
    valid_bytes_ = 0;
    for (Entry* const entry : order) {
        entry->place.offset = valid_bytes_;
        valid_bytes_ += entry->place.bytes;
    }
    lines_ = num_ids();
    foreign_lines_ = 0;
}

}  // namespace longhaul::io
