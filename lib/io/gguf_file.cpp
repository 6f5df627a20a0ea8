#include "io/gguf_file.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace longhaul::io {
namespace {

constexpr std::int64_t kLargestHeader = std::int64_t{256} << 20;
constexpr std::int64_t kLongestTensorName = 256;
constexpr std::int64_t kMostTensors = 1'000'000;
constexpr std::int64_t kMostPairs = 100'000;
constexpr std::uint32_t kMostDimensions = 4;
constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"

void read_version(GgufCursor& cursor) {
    if (cursor.number<std::uint32_t>("the magic number") != kMagic) {
        cursor.fail(0, "the file does not begin with \"GGUF\"");
    }
    auto const version = cursor.number<std::uint32_t>("the version");
    LH_VALIDATE((version & 0xffffU) != 0 || version == 0,
                "{}: the file is a big-endian GGUF; longhaul reads little-endian ones only: "
                "convert it on, or for, a "
                "little-endian machine",
                cursor.file());
    LH_VALIDATE(version == 2 || version == 3,
                "{}: the file has GGUF version {}; longhaul reads versions 2 and 3: convert the "
                "model with a current tool",
                cursor.file(), version);
}

struct ListedTensor {
    std::string name;
    std::vector<std::int64_t> shape;
    std::uint32_t type = 0;
    std::uint64_t offset = 0;    // from the start of the data
    std::int64_t listed_at = 0;  // byte of the header
};

ListedTensor read_listed(GgufCursor& cursor, std::int64_t index) {
    ListedTensor tensor;
    tensor.listed_at = cursor.offset();
    tensor.name = cursor.text(kLongestTensorName, fmt::format("the name of tensor {}", index));
    std::string const name = shown(tensor.name);
    auto const dimensions = cursor.number<std::uint32_t>("the dimensions of tensor " + name);
    if (dimensions < 1 || dimensions > kMostDimensions) {
        cursor.fail(tensor.listed_at, fmt::format("tensor {} has {} dimensions, not 1 to {}", name,
                                                  dimensions, kMostDimensions));
    }
    for (std::uint32_t i = 0; i < dimensions; ++i) {
        auto const extent = cursor.number<std::uint64_t>("a dimension of tensor " + name);
        if (extent == 0 || !std::in_range<std::int64_t>(extent)) {
            cursor.fail(tensor.listed_at,
                        fmt::format("tensor {} has the impossible dimension {}", name, extent));
        }
        tensor.shape.push_back(static_cast<std::int64_t>(extent));
    }
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    tensor.type = cursor.number<std::uint32_t>("the type of tensor " + name);
    tensor.offset = cursor.number<std::uint64_t>("the offset of tensor " + name);
    return tensor;
}

std::int64_t read_alignment(GgufCursor const& cursor, GgufMetadata const& metadata) {
    std::int64_t const alignment = metadata.integer("general.alignment").value_or(32);
    LH_VALIDATE(alignment >= 8 && alignment <= (1 << 20) &&
                    std::has_single_bit(static_cast<std::uint64_t>(alignment)),
                "{}: general.alignment is {}, but must be a power of two from 8 to 1048576; "
                "convert the model again",
                cursor.file(), alignment);
    return alignment;
}

void place(ListedTensor listed, GgufCursor const& cursor, Range data, std::int64_t alignment,
           TensorDirectory& directory) {
    GgmlType const stored = ggml_type(listed.type);
    std::optional<std::int64_t> const bytes = tensor_bytes(stored.block, listed.shape);
    if (!bytes) {
        cursor.fail(listed.listed_at,
                    fmt::format("tensor {} of type {} has the impossible shape {}",
                                shown(listed.name), stored.name, shape_text(listed.shape)));
    }
    if (listed.offset % static_cast<std::uint64_t>(alignment) != 0 ||
        listed.offset > static_cast<std::uint64_t>(data.size())) {
        cursor.fail(listed.listed_at,
                    fmt::format("tensor {} has the offset {}, which is no multiple of {} or lies "
                                "behind the {} bytes of "
                                "data",
                                shown(listed.name), listed.offset, alignment, data.size()));
    }
    std::int64_t const offset = data.begin + static_cast<std::int64_t>(listed.offset);
    if (stored.type) {
        directory.add(
            {std::move(listed.name), *stored.type, std::move(listed.shape), offset, *bytes});
    } else {
        directory.add_foreign(std::move(listed.name), stored.name, offset, *bytes);
    }
}

}  // namespace

GgufFile::GgufFile(MappedFile file, TensorDirectory directory, GgufMetadata metadata)
    : WeightFile(std::move(file), std::move(directory)), metadata_(std::move(metadata)) {}

std::unique_ptr<GgufFile> GgufFile::open(std::filesystem::path const& path) {
    MappedFile file(path);
    std::int64_t const header_limit = std::min(file.size(), kLargestHeader);
    GgufCursor cursor(path.string(), file.bytes().first(static_cast<std::size_t>(header_limit)));
    read_version(cursor);
    // A tensor takes at least 32 bytes of the header, a pair 13.
    std::int64_t const num_tensors = cursor.count(32, "the number of tensors");
    std::int64_t const num_pairs = cursor.count(13, "the number of metadata pairs");
    LH_VALIDATE(num_tensors <= kMostTensors && num_pairs <= kMostPairs,
                "{}: the header announces {} tensors and {} metadata pairs, more than the {} and "
                "{} allowed; the file is "
                "damaged, get it again",
                path.string(), num_tensors, num_pairs, kMostTensors, kMostPairs);
    GgufMetadata metadata(cursor, num_pairs);
    std::vector<ListedTensor> listed;
    for (std::int64_t i = 0; i < num_tensors; ++i) {
        listed.push_back(read_listed(cursor, i));
    }
    std::int64_t const alignment = read_alignment(cursor, metadata);
    Range const data{round_up(cursor.offset(), alignment), file.size()};
    if (data.begin > data.end && num_tensors > 0) {
        cursor.fail(cursor.offset(), "the file ends before its tensor data");
    }
    TensorDirectory directory(path.string(), data);
    for (ListedTensor& tensor : listed) {
        place(std::move(tensor), cursor, data, alignment, directory);
    }
    directory.finish();
    return std::unique_ptr<GgufFile>(
        new GgufFile(std::move(file), std::move(directory), std::move(metadata)));
}

}  // namespace longhaul::io
