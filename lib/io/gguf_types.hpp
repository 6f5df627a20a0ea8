#pragma once

#include "io/tensor.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace longhaul::io {

/// Types of GGUF metadata values, numbered as in the file.
enum class GgufType : std::uint32_t {
    u8 = 0,
    i8 = 1,
    u16 = 2,
    i16 = 3,
    u32 = 4,
    i32 = 5,
    f32 = 6,
    boolean = 7,
    string = 8,
    array = 9,
    u64 = 10,
    i64 = 11,
    f64 = 12
};
inline constexpr std::uint32_t kGgufTypes = 13;

/// Bytes of one value; 0 for strings and arrays, which carry their own length.
[[nodiscard]] std::int64_t gguf_value_bytes(GgufType type);
[[nodiscard]] char const* gguf_type_name(GgufType type);

/// What ggml stores under a tensor type number. Those without `type` cannot be read by longhaul; a block of 0 bytes means
/// that the size is not known either.
struct GgmlType {
    std::string name;
    std::optional<TensorType> type;
    BlockShape block;
};
[[nodiscard]] GgmlType ggml_type(std::uint32_t number);

}  // namespace longhaul::io
