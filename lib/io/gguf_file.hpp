#pragma once

#include "io/gguf_metadata.hpp"
#include "io/weight_file.hpp"

#include <filesystem>
#include <memory>

namespace longhaul::io {

/// A GGUF file, version 3 or 2 (which differ only in the byte order that 3 may have), little-endian.
///
/// Layout      magic "GGUF", version, tensor count, pair count; metadata pairs; per tensor name, dimensions (innermost
///             first), type, offset; padding to general.alignment (32); the tensors' data
/// Limits      header at most 256 MiB, 1 000 000 tensors, 100 000 pairs; tensor names at most 256 bytes; 1 to 4 dimensions
/// Errors      ValidationError for anything in the header that the file cannot hold: see tensor_directory.hpp and
///             gguf_metadata.hpp. Version 1 and big-endian files are refused by name. The numbers of the tensors
///             themselves are not looked at: every bit pattern of the six types is a number, possibly NaN
class GgufFile final : public WeightFile {
  public:
    static std::unique_ptr<GgufFile> open(std::filesystem::path const& path);

    [[nodiscard]] GgufMetadata const& metadata() const { return metadata_; }

  private:
    GgufFile(MappedFile file, TensorDirectory directory, GgufMetadata metadata);

    GgufMetadata metadata_;
};

}  // namespace longhaul::io
