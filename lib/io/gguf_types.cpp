#include "io/gguf_types.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace longhaul::io {
namespace {

struct Row {
    std::uint32_t number;
    char const* name;
    std::int64_t elements;
    std::int64_t bytes;
};

// ggml's types that longhaul does not read, so that a message can name them and their extents can be checked.
constexpr std::array<Row, 26> kForeign{{
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {9, "Q8_1", 32, 36},
    {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},
    {13, "Q5_K", 256, 176},   {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},
    {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98},
    {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},
    {25, "I16", 1, 2},        {26, "I32", 1, 4},        {27, "I64", 1, 8},
    {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},   {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
}};

std::optional<TensorType> readable(std::uint32_t number) {
    switch (number) {
        case 0:
            return TensorType::f32;
        case 1:
            return TensorType::f16;
        case 2:
            return TensorType::q4_0;
        case 3:
            return TensorType::q4_1;
        case 8:
            return TensorType::q8_0;
        case 30:
            return TensorType::bf16;
        default:
            return std::nullopt;
    }
}

}  // namespace

std::int64_t gguf_value_bytes(GgufType type) {
    switch (type) {
        case GgufType::u8:
        case GgufType::i8:
        case GgufType::boolean:
            return 1;
        case GgufType::u16:
        case GgufType::i16:
            return 2;
        case GgufType::u32:
        case GgufType::i32:
        case GgufType::f32:
            return 4;
        case GgufType::u64:
        case GgufType::i64:
        case GgufType::f64:
            return 8;
        case GgufType::string:
        case GgufType::array:
            break;
    }
    return 0;
}

char const* gguf_type_name(GgufType type) {
    constexpr std::array<char const*, kGgufTypes> kNames{
        "uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
        "bool",  "string", "array",  "uint64", "int64",  "float64"};
    return kNames[static_cast<std::uint32_t>(type)];
}

GgmlType ggml_type(std::uint32_t number) {
    if (std::optional<TensorType> const type = readable(number)) {
        return {tensor_type_name(*type), type, block_shape(*type)};
    }
    auto const* const row = std::find_if(kForeign.begin(), kForeign.end(),
                                         [&](Row const& entry) { return entry.number == number; });
    if (row != kForeign.end()) {
        return {row->name, std::nullopt, {row->elements, row->bytes}};
    }
    return {fmt::format("number {}", number), std::nullopt, {1, 0}};
}

}  // namespace longhaul::io
