#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::io {

/// Storage of a tensor in a weight file. The q types are ggml's blocks of 32 weights (dequantize.hpp).
enum class TensorType { f32, f16, bf16, q4_0, q4_1, q8_0 };

/// "F32", "Q4_1", ... as the file formats spell it.
[[nodiscard]] char const* tensor_type_name(TensorType type);

/// The smallest unit a type can store: `elements` consecutive elements of a row in `bytes` bytes.
struct BlockShape {
    std::int64_t elements = 1;
    std::int64_t bytes = 0;
};
[[nodiscard]] BlockShape block_shape(TensorType type);

/// One entry of a weight file's directory.
struct TensorInfo {
    std::string name;
    TensorType type = TensorType::f32;
    std::vector<std::int64_t> shape;  ///< row-major, outermost first: [rows, cols] or [n]
    std::int64_t file_offset = 0;     ///< bytes from the start of the file
    std::int64_t bytes = 0;

    /// A tensor of one dimension is one row.
    [[nodiscard]] std::int64_t rows() const { return shape.size() == 2 ? shape.front() : 1; }
    [[nodiscard]] std::int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
};

/// Bytes of a tensor whose rows are stored in blocks. Empty when the number overflows, a dimension is negative, or a row
/// is not a whole number of blocks.
[[nodiscard]] std::optional<std::int64_t> tensor_bytes(BlockShape block,
                                                       std::vector<std::int64_t> const& shape);

/// "[49152, 576]"
[[nodiscard]] std::string shape_text(std::vector<std::int64_t> const& shape);

/// A name out of a file as a message may show it: quoted, unprintable bytes escaped, cut after 80 bytes.
[[nodiscard]] std::string shown(std::string_view text);

}  // namespace longhaul::io
