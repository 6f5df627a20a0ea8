#include "io/tensor.hpp"

#include "base/checked.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace longhaul::io {

char const* tensor_type_name(TensorType type) {
    switch (type) {
        case TensorType::f32:
            return "F32";
        case TensorType::f16:
            return "F16";
        case TensorType::bf16:
            return "BF16";
        case TensorType::q4_0:
            return "Q4_0";
        case TensorType::q4_1:
            return "Q4_1";
        case TensorType::q8_0:
            return "Q8_0";
    }
    return "?";
}

BlockShape block_shape(TensorType type) {
    switch (type) {
        case TensorType::f32:
            return {1, 4};
        case TensorType::f16:
            return {1, 2};
        case TensorType::bf16:
            return {1, 2};
        case TensorType::q4_0:
            return {32, 2 + 16};
        case TensorType::q4_1:
            return {32, 2 + 2 + 16};
        case TensorType::q8_0:
            return {32, 2 + 32};
    }
    return {};
}

std::optional<std::int64_t> tensor_bytes(BlockShape block, std::vector<std::int64_t> const& shape) {
    std::int64_t const cols = shape.empty() ? 1 : shape.back();
    if (cols < 0 || cols % block.elements != 0) {
        return std::nullopt;
    }
    std::optional<std::int64_t> bytes = checked_multiply(cols / block.elements, block.bytes);
    for (std::size_t axis = 0; bytes && axis + 1 < shape.size(); ++axis) {
        bytes = checked_multiply(*bytes, shape[axis]);
    }
    return bytes;
}

std::string shape_text(std::vector<std::int64_t> const& shape) {
    return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string shown(std::string_view text) {
    constexpr std::size_t kLimit = 80;
    std::string result = "'";
    for (char const c : text.substr(0, kLimit)) {
        auto const byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            result += c;
        } else {
            result += fmt::format("\\x{:02x}", byte);
        }
    }
    return result + (text.size() > kLimit ? "...'" : "'");
}

}  // namespace longhaul::io
