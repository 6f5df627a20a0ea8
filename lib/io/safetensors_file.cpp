#include "io/safetensors_file.hpp"

#include "base/error.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

namespace longhaul::io {
namespace {

namespace dom = simdjson::dom;

constexpr std::int64_t kLargestHeader = std::int64_t{16} << 20;
constexpr std::size_t kMostDimensions = 8;

struct Stored {
    std::optional<TensorType> type;  // nothing: cannot be read
    std::int64_t bytes = 0;          // of one element
};

std::optional<Stored> stored_type(std::string_view name) {
    static std::map<std::string_view, Stored> const types{{"F32", {TensorType::f32, 4}},
                                                          {"F16", {TensorType::f16, 2}},
                                                          {"BF16", {TensorType::bf16, 2}},
                                                          {"F64", {{}, 8}},
                                                          {"I64", {{}, 8}},
                                                          {"U64", {{}, 8}},
                                                          {"I32", {{}, 4}},
                                                          {"U32", {{}, 4}},
                                                          {"I16", {{}, 2}},
                                                          {"U16", {{}, 2}},
                                                          {"I8", {{}, 1}},
                                                          {"U8", {{}, 1}},
                                                          {"BOOL", {{}, 1}},
                                                          {"F8_E4M3", {{}, 1}},
                                                          {"F8_E5M2", {{}, 1}}};
    auto const found = types.find(name);
    return found == types.end() ? std::nullopt : std::optional(found->second);
}

[[noreturn]] void fail(std::string const& file, std::string const& problem) {
    throw ValidationError(
        fmt::format("{}: {}; the file is damaged, incomplete or no safetensors file: get it again "
                    "and compare its size and checksum",
                    file, problem));
}

// The non-negative whole numbers of a JSON array.
std::vector<std::int64_t> numbers(std::string const& file, std::string const& what,
                                  dom::element value) {
    dom::array array;
    if (value.get(array) != simdjson::SUCCESS || array.size() > kMostDimensions) {
        fail(file, fmt::format("{} is no list of at most {} numbers", what, kMostDimensions));
    }
    std::vector<std::int64_t> result;
    for (dom::element const entry : array) {
        std::int64_t number = 0;
        if (entry.get(number) != simdjson::SUCCESS || number < 0) {
            fail(file,
                 fmt::format("{} has an entry that is no whole number from 0 to 2^63 - 1", what));
        }
        result.push_back(number);
    }
    return result;
}

struct Listed {
    std::string_view dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> offsets;
};

Listed read_listed(std::string const& file, std::string_view name, dom::element value) {
    dom::object object;
    if (value.get(object) != simdjson::SUCCESS) {
        fail(file, fmt::format("the header's entry {} is no object", shown(name)));
    }
    Listed listed;
    std::array<int, 3> seen{};
    for (auto const [key, field] : object) {
        std::string const what = fmt::format("{} of tensor {}", shown(key), shown(name));
        if (key == "dtype") {
            ++seen[0];
            if (field.get(listed.dtype) != simdjson::SUCCESS) {
                fail(file, what + " is no string");
            }
        } else if (key == "shape") {
            ++seen[1];
            listed.shape = numbers(file, what, field);
        } else if (key == "data_offsets") {
            ++seen[2];
            listed.offsets = numbers(file, what, field);
        } else {
            fail(file, what + " is not part of the format");
        }
    }
    if (seen != std::array{1, 1, 1} || listed.offsets.size() != 2 ||
        listed.offsets[0] > listed.offsets[1]) {
        fail(file,
             fmt::format("tensor {} needs dtype, shape and data_offsets [begin, end] once each",
                         shown(name)));
    }
    return listed;
}

// Adds one entry and returns the bytes it occupies.
std::int64_t place(std::string const& file, std::string_view name, Listed listed, Range data,
                   TensorDirectory& directory) {
    std::int64_t const bytes = listed.offsets[1] - listed.offsets[0];
    std::optional<Stored> const stored = stored_type(listed.dtype);
    if (stored && tensor_bytes({1, stored->bytes}, listed.shape) != bytes) {
        fail(file,
             fmt::format(
                 "tensor {} of type {} and shape {} occupies {} bytes, which does not fit together",
                 shown(name), listed.dtype, shape_text(listed.shape), bytes));
    }
    if (listed.offsets[0] > data.size()) {
        fail(file, fmt::format("tensor {} begins at byte {} of the data, which has only {}",
                               shown(name), listed.offsets[0], data.size()));
    }
    std::int64_t const offset = data.begin + listed.offsets[0];
    if (stored && stored->type) {
        directory.add({std::string(name), *stored->type, std::move(listed.shape), offset, bytes});
    } else {
        directory.add_foreign(std::string(name), shown(listed.dtype), offset, bytes);
    }
    return bytes;
}

Range data_range(MappedFile const& file) {
    std::string const name = file.path().string();
    std::uint64_t header = 0;
    if (file.size() < 8) {
        fail(name,
             fmt::format("the file has {} bytes, too few for the header's length", file.size()));
    }
    std::memcpy(&header, file.bytes().data(), sizeof(header));
    if (header > static_cast<std::uint64_t>(std::min(kLargestHeader, file.size() - 8))) {
        fail(name, fmt::format("the header at byte 8 would have {} bytes, but only {} follow and "
                               "at most {} are allowed",
                               header, file.size() - 8, kLargestHeader));
    }
    return {8 + static_cast<std::int64_t>(header), file.size()};
}

}  // namespace

SafetensorsFile::SafetensorsFile(MappedFile file, TensorDirectory directory)
    : WeightFile(std::move(file), std::move(directory)) {}

std::unique_ptr<SafetensorsFile> SafetensorsFile::open(std::filesystem::path const& path) {
    MappedFile file(path);
    std::string const name = path.string();
    Range const data = data_range(file);
    dom::parser parser;
    dom::object header;
    auto const* const text = reinterpret_cast<char const*>(file.bytes().data()) + 8;
    // The parser copies the text, since it reads a few bytes past its end.
    simdjson::error_code const error =
        parser.parse(text, static_cast<std::size_t>(data.begin - 8), true).get(header);
    if (error != simdjson::SUCCESS || text[0] != '{') {
        fail(name, fmt::format("the header at byte 8 is no JSON object ({})",
                               simdjson::error_message(error)));
    }
    TensorDirectory directory(name, data);
    std::int64_t covered = 0;
    bool metadata_seen = false;
    for (auto const [key, value] : header) {
        if (key == "__metadata__") {
            if (std::exchange(metadata_seen, true) || !value.is_object()) {
                fail(name, "the header's __metadata__ must come once and be an object");
            }
            continue;
        }
        covered += place(name, key, read_listed(name, key, value), data, directory);
    }
    directory.finish();
    if (covered !=
        data.size()) {  // all inside and none overlapping: what is missing belongs to no tensor
        fail(name,
             fmt::format("the tensors cover {} of the {} bytes of data", covered, data.size()));
    }
    return std::unique_ptr<SafetensorsFile>(
        new SafetensorsFile(std::move(file), std::move(directory)));
}

}  // namespace longhaul::io
