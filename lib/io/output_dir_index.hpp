#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace longhaul::io {

/// What an earlier run left of a job.
struct KnownResult {
    std::string job_hash;
    bool ok = false;  ///< status "ok"; otherwise the job failed

    friend bool operator==(KnownResult const&, KnownResult const&) = default;
};

/// The parts of a result line that tell which job it is and how that went; nothing for a line that is no result.
struct ResultHead {
    std::string id;
    KnownResult known;
};
[[nodiscard]] std::optional<ResultHead> read_result_head(std::string_view json_line);

/// Which line of a results file holds for which id: the latest one.
class ResultIndex {
  public:
    struct Place {
        std::int64_t offset = 0;
        std::int64_t bytes = 0;  ///< with the line feed
    };

    /// Takes in a whole file. What is torn at its end (no line feed, or NUL bytes) lies behind valid_bytes() afterwards;
    /// other lines that are no results are counted and otherwise passed over.
    /// Errors      ValidationError when the file cannot be read, or has whole lines and no result among them
    void read(std::filesystem::path const& results);

    /// A line appended behind everything taken in so far.
    void add(ResultHead head, std::int64_t bytes);

    [[nodiscard]] std::optional<KnownResult> find(std::string const& id) const;
    [[nodiscard]] std::int64_t valid_bytes() const { return valid_bytes_; }
    [[nodiscard]] std::int64_t foreign_lines() const { return foreign_lines_; }
    [[nodiscard]] std::int64_t num_ids() const {
        return static_cast<std::int64_t>(entries_.size());
    }
    /// Every line is the only one of its id.
    [[nodiscard]] bool compact() const { return foreign_lines_ == 0 && lines_ == num_ids(); }
    /// The lines that hold, in the order in which they stand in the file.
    [[nodiscard]] std::vector<Place> latest_lines() const;
    struct Latest {
        std::string id;
        KnownResult known;
        Place place;
    };
    [[nodiscard]] std::vector<Latest> latest() const;  ///< the same with what they say
    /// After a rewrite that kept just latest_lines().
    void set_compacted();

  private:
    struct Entry {
        KnownResult known;
        Place place;
    };
    std::unordered_map<std::string, Entry> entries_;
    std::int64_t valid_bytes_ = 0;
    std::int64_t lines_ = 0;
    std::int64_t foreign_lines_ = 0;
};

}  // namespace longhaul::io
