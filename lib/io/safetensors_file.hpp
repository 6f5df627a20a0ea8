#pragma once

#include "io/weight_file.hpp"

#include <filesystem>
#include <memory>

namespace longhaul::io {

/// A single safetensors file.
///
/// Layout      uint64 length of the header; header: one JSON object {name: {"dtype", "shape", "data_offsets": [begin,
///             end]}, "__metadata__"?: {string: string}}; the tensors' data, row-major, little-endian. Offsets count from
///             the end of the header; the tensors cover the data without gaps or overlaps. The format promises no
///             alignment, and none is needed
/// Limits      header at most 16 MiB
/// Errors      ValidationError for anything in the header that the format forbids or the file cannot hold, entries and
///             keys that come twice included. Types other than F32, F16, BF16 are listed but cannot be read
/// Source      safetensors, Apache-2.0 licence (the format)
class SafetensorsFile final : public WeightFile {
  public:
    static std::unique_ptr<SafetensorsFile> open(std::filesystem::path const& path);

  private:
    SafetensorsFile(MappedFile file, TensorDirectory directory);
};

}  // namespace longhaul::io
