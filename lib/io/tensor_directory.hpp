#pragma once

#include "base/range.hpp"
#include "io/tensor.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::io {

/// Names, types and places of the tensors of one weight file. Readers fill it; what it refuses (with ValidationError) is
/// the same for every format: two tensors of one name, bytes outside the file's data, bytes that two tensors share.
class TensorDirectory {
  public:
    /// `data` is the part of the file that tensors may occupy, in bytes from its start.
    TensorDirectory(std::string file, Range data) : file_(std::move(file)), data_(data) {}

    /// `info.bytes` must be set.
    void add(TensorInfo info);
    /// A tensor whose type longhaul cannot read; only its name and place matter. `bytes` < 0: size unknown.
    void add_foreign(std::string name, std::string type_name, std::int64_t file_offset,
                     std::int64_t bytes);
    /// Call once after the last add: sorts by place and refuses overlaps.
    void finish();

    [[nodiscard]] TensorInfo const* find(std::string_view name) const;
    /// In the order of their file offsets.
    [[nodiscard]] std::vector<TensorInfo> const& tensors() const { return tensors_; }
    /// Tensors of types that cannot be read: name -> name of the type.
    [[nodiscard]] std::map<std::string, std::string, std::less<>> const& foreign() const {
        return foreign_;
    }

  private:
    struct Extent {
        Range bytes;
        std::string name;
    };
    void occupy(std::string const& name, std::int64_t offset, std::int64_t bytes);

    std::string file_;
    Range data_;
    std::vector<TensorInfo> tensors_;
    std::map<std::string, std::size_t, std::less<>> by_name_;
    std::map<std::string, std::string, std::less<>> foreign_;
    std::vector<Extent> extents_;
};

}  // namespace longhaul::io
