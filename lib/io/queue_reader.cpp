#include "io/queue_reader.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <algorithm>
#include <unordered_map>

#define XXH_INLINE_ALL
#include "base/error.hpp"
#include "io/job_hash.hpp"
#include "io/queue_reader_lines.hpp"

#include <xxhash.h>

namespace longhaul::io {
namespace {

/// Ids seen and the line of each. Keeps 128-bit hashes instead of the ids: a queue may have millions.
class IdSet {
  public:
    /// The line on which the id stood before; 0 when it is new.
    std::int64_t insert(std::string_view id, std::int64_t line_number) {
        auto const [place, fresh] = lines_.try_emplace(key_of(id), line_number);
        return fresh ? 0 : place->second;
    }

  private:
    struct Key {
        std::uint64_t low;
        std::uint64_t high;
        bool operator==(Key const&) const = default;
    };
    struct KeyHash {
        std::size_t operator()(Key const& key) const { return key.low; }
    };
    static Key key_of(std::string_view id) {
        XXH128_hash_t const hash = XXH3_128bits(id.data(), id.size());
        return {hash.low64, hash.high64};
    }
    std::unordered_map<Key, std::int64_t, KeyHash> lines_;
};

bool is_blank(std::string_view line) {
    return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

// Editors on Windows put a byte order mark in front.
std::string_view without_mark(LineReader::Line const& line) {
    std::string_view text = line.text;
    if (line.number == 1 && text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
    return text;
}

// The id of a line, without looking at the rest of it more than needed; empty when there is none.
std::string_view find_id(simdjson::ondemand::parser& parser, std::string_view line) {
    simdjson::ondemand::document document;
    simdjson::padded_string_view const padded(line, line.size() + LineReader::kPadding);
    std::string_view id;
    if (parser.iterate(padded).get(document)) return {};
    if (document.find_field_unordered("id").get_string().get(id)) return {};
    return id;
}

struct Scan {
    std::int64_t jobs = 0;
    IdSet ids;
};

Scan scan_queue(std::filesystem::path const& queue, std::int64_t max_line_bytes) {
    Scan scan;
    LineReader lines(queue, max_line_bytes);
    simdjson::ondemand::parser parser;
    while (auto const line = lines.next()) {
        if (is_blank(line->text)) continue;
        ++scan.jobs;
        if (line->too_long) continue;
        std::string_view const id = find_id(parser, without_mark(*line));
        if (id.empty()) continue;
        std::int64_t const earlier = scan.ids.insert(id, line->number);
        LH_VALIDATE(
            earlier == 0,
            "the queue {} has the id \"{}\" on line {} and again on line {}; ids must differ",
            queue.string(), id, earlier, line->number);
    }
    LH_VALIDATE(lines.failure().empty(),
                "cannot read the queue {} to its end: {}; it may be damaged or cut short",
                queue.string(), lines.failure());
    LH_VALIDATE(scan.jobs > 0, "the queue {} has no jobs; write one JSON object a line",
                queue.string());
    return scan;
}

// A pipe may have its first job later; a file without bytes and /dev/null never will.
bool nothing_will_come(int descriptor) {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) return false;
    constexpr unsigned kMemoryDevices = 1;  // /dev/null is the third of them
    return S_ISREG(status.st_mode)
               ? ::lseek(descriptor, 0, SEEK_CUR) >= status.st_size
               : S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(kMemoryDevices, 3);
}

std::filesystem::path folder_of(std::filesystem::path const& queue) {
    return queue == "-" ? std::filesystem::path() : queue.parent_path();
}

}  // namespace

struct QueueReader::State {
    State(std::filesystem::path const& queue, QueueOptions options)
        : lines(queue, options.max_line_bytes), base_dir(folder_of(queue)) {
        LH_VALIDATE(queue != "-" || !nothing_will_come(STDIN_FILENO),
                    "standard input has no jobs; write one JSON object a line");
        if (options.scan_first && lines.regular()) {
            Scan scan = scan_queue(queue, options.max_line_bytes);
            jobs_total = scan.jobs;
            ids = std::move(scan.ids);
        }
    }

    ParsedJob parse(LineReader::Line const& line);
    std::optional<QueueEntry> report_failure();
    void choose_id(BadJob& bad, std::int64_t line_number);

    LineReader lines;
    std::filesystem::path base_dir;
    IdSet ids;
    std::optional<std::int64_t> jobs_total;
    std::int64_t jobs_read = 0;
    std::int64_t last_line = 0;
    bool failure_reported = false;
};

QueueReader::QueueReader(std::filesystem::path const& queue, QueueOptions options)
    : state_(std::make_unique<State>(queue, options)) {}

QueueReader::~QueueReader() = default;

std::optional<QueueEntry> QueueReader::next() {
    while (auto const line = state_->lines.next()) {
        state_->last_line = line->number;
        if (is_blank(line->text)) continue;
        ++state_->jobs_read;
        return QueueEntry{line->number, line->bytes, state_->parse(*line)};
    }
    return state_->report_failure();
}

ParsedJob QueueReader::State::parse(LineReader::Line const& line) {
    if (line.too_long) {
        BadJob bad;
        bad.error = {
            "too_long",
            fmt::format("line {} of the queue has more than {} bytes; put the document into a file",
                        line.number, line.text.size())};
        bad.id = fmt::format("line-{}", line.number);
        bad.job_hash = line_hash(line.text);
        choose_id(bad, line.number);
        return bad;
    }
    ParsedJob parsed = parse_job(without_mark(line), line.number, base_dir);
    auto* const bad = std::get_if<BadJob>(&parsed);
    if (bad != nullptr && !bad->own_id) {
        choose_id(*bad, line.number);
    } else if (!jobs_total) {
        std::string const id = bad != nullptr ? bad->id : std::get<Job>(parsed).id;
        if (std::int64_t const earlier = ids.insert(id, line.number); earlier != 0) {
            // Not under its own id: that line would supersede the result of the first job.
            BadJob twin;
            twin.error = {
                "duplicate_id",
                fmt::format("line {} of the queue: the id \"{}\" was used on line {} already",
                            line.number, id, earlier)};
            twin.id = fmt::format("line-{}", line.number);
            twin.job_hash = line_hash(line.text);
            choose_id(twin, line.number);
            return twin;
        }
    }
    return parsed;
}

// The name we give a line without an id must not be the id of another job, nor of one that is still to come.
void QueueReader::State::choose_id(BadJob& bad, std::int64_t line_number) {
    while (ids.insert(bad.id, line_number) != 0) bad.id += '+';
}

std::optional<QueueEntry> QueueReader::State::report_failure() {
    if (lines.failure().empty() || failure_reported) return std::nullopt;
    failure_reported = true;
    ++jobs_read;
    BadJob bad;
    bad.id = fmt::format("line-{}", last_line + 1);
    bad.error = {
        "unreadable",
        fmt::format("the queue cannot be read beyond line {}: {}; the jobs behind it are lost",
                    last_line, lines.failure())};
    bad.job_hash = line_hash(lines.failure());
    choose_id(bad, last_line + 1);
    return QueueEntry{last_line + 1, 0, std::move(bad)};
}

std::optional<std::int64_t> QueueReader::jobs_total() const { return state_->jobs_total; }
void QueueReader::cancel() { state_->lines.cancel(); }
std::int64_t QueueReader::jobs_read() const { return state_->jobs_read; }
std::int64_t QueueReader::bytes_read() const { return state_->lines.bytes_read(); }

std::optional<double> QueueReader::fraction_read() const {
    std::int64_t const size = state_->lines.file_bytes();
    if (size == 0) return std::nullopt;
    return std::clamp(static_cast<double>(bytes_read()) / static_cast<double>(size), 0.0, 1.0);
}

}  // namespace longhaul::io
