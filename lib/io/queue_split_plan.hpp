#pragma once

#include "io/job.hpp"

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace longhaul::io {

/// Decides which job of a queue goes into which part.
class SplitPlan {
  public:
    /// Takes in the next line that holds something: a job, or (null) one that will only get an error line.
    void add(std::int64_t line_number, Job const* job);

    [[nodiscard]] std::int64_t num_documents() const {
        return static_cast<std::int64_t>(documents_.size());
    }

    /// Longest documents first, each to the part with the least so far (Graham 1969: at most 4/3 of the best possible maximum).
    /// Requires    1 <= parts <= num_documents(): then no part is empty
    void assign(std::int64_t parts);

    struct Line {
        std::int64_t number = 0;
        std::int64_t document = 0;
        bool is_job = false;
    };
    struct Document {
        std::int64_t bytes = 0;   ///< 0 where it cannot be read
        std::int64_t weight = 1;  ///< with what its jobs may generate
        std::int64_t part = -1;
    };
    [[nodiscard]] std::vector<Line> const& lines() const { return lines_; }
    [[nodiscard]] std::vector<Document> const& documents() const { return documents_; }

  private:
    std::unordered_map<std::string, std::int64_t> by_key_;
    std::vector<Document> documents_;  // in the order in which they first stand in the queue
    std::vector<Line> lines_;
};

}  // namespace longhaul::io
