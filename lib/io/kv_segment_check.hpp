#pragma once

#include "io/kv_segment.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::io {

class KvSegmentReader;

/// What reading a whole segment showed.
class KvSegmentCheck {
  public:
    /// Opens the segment, compares it with what is said of it (its name aside), and reads every block.
    KvSegmentCheck(std::filesystem::path const& path, KvSegmentInfo const& said);

    /// Damage in words, one sentence each; empty when every byte is as it was written.
    [[nodiscard]] std::vector<std::string> const& problems() const { return problems_; }
    /// Nothing when it could not be opened.
    [[nodiscard]] std::optional<KvSegmentShape> const& shape() const { return shape_; }
    [[nodiscard]] std::vector<KvSegmentBlock> const& blocks() const { return blocks_; }
    /// Whether keys and values of one head of one layer (numbers of the model) of a block are sound.
    [[nodiscard]] bool sound(std::int64_t row, std::int64_t layer, std::int64_t kv_head) const;
    [[nodiscard]] std::int64_t bytes_read() const { return bytes_read_; }

  private:
    void read_all(std::filesystem::path const& path, KvSegmentInfo const& said);
    void read_head(KvSegmentReader const& reader, std::int64_t layer, std::int64_t kv_head,
                   KvPart part);
    void report_damage(std::filesystem::path const& path);
    [[nodiscard]] std::size_t place(std::int64_t row, std::int64_t layer,
                                    std::int64_t kv_head) const;

    std::optional<KvSegmentShape> shape_;
    std::vector<KvSegmentBlock> blocks_;
    std::vector<bool> damaged_;  // [layer][kv_head][row]
    std::vector<std::string> problems_;
    std::int64_t bytes_read_ = 0;
};

/// What is wrong with a segment's file as far as its size shows ("is missing", ...); empty when nothing is.
[[nodiscard]] std::string segment_file_problem(std::filesystem::path const& path,
                                               std::int64_t bytes);

}  // namespace longhaul::io
