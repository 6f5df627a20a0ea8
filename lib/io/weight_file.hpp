#pragma once

#include "base/range.hpp"
#include "io/mapped_file.hpp"
#include "io/tensor.hpp"
#include "io/tensor_directory.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace longhaul::io {

/// A memory-mapped file of named tensors. GgufFile and SafetensorsFile check the whole directory when they open, so that
/// nothing read later can lie outside the file. Reading is const and may happen from several threads at once.
///
/// Limits      a file cut short by another process after it was opened ends this one with SIGBUS (mapped_file.hpp)
class WeightFile {
  public:
    virtual ~WeightFile() = default;
    WeightFile(WeightFile const&) = delete;
    WeightFile& operator=(WeightFile const&) = delete;

    /// nullptr when absent, or of a type that cannot be read (foreign_type tells).
    [[nodiscard]] TensorInfo const* find(std::string_view name) const {
        return directory_.find(name);
    }
    /// In the order of their file offsets.
    [[nodiscard]] std::vector<TensorInfo> const& tensors() const { return directory_.tensors(); }
    /// Name of the type of a tensor that the file has but longhaul cannot read ("Q4_K"); empty otherwise.
    [[nodiscard]] std::string_view foreign_type(std::string_view name) const;
    [[nodiscard]] TensorDirectory const& directory() const { return directory_; }
    [[nodiscard]] MappedFile const& file() const { return file_; }

    /// Reads rows x cols of a tensor of one or two dimensions (one dimension: one row) as float. Slices need not meet
    /// quantisation blocks.
    /// Shapes      out [rows.size(), cols.size()], row-major with leading dimension out_ld >= cols.size()
    /// Requires    `tensor` is one of tensors(); the ranges lie inside its shape
    void read(TensorInfo const& tensor, Range rows, Range cols, float* out,
              std::int64_t out_ld) const;

  protected:
    WeightFile(MappedFile file, TensorDirectory directory);

  private:
    MappedFile file_;
    TensorDirectory directory_;
};

}  // namespace longhaul::io
