// Input: a byte that chooses, then either a segment file as it lies on disk, or what it takes to build one: sound HDF5 and a
// sound seal around attributes, types, sizes and values of the fuzzer's choice. The second way gets past the checksums; what
// HDF5 itself makes of damaged structures is kept from it by the seal.
#include "base/error.hpp"
#include "io/kv_segment_reader.hpp"
#include "support/kv/raw_segment.hpp"

#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace {

using namespace longhaul;
using test::RawSegment;

class Input {
  public:
    explicit Input(std::span<std::uint8_t const> bytes) : bytes_(bytes) {}

    [[nodiscard]] bool empty() const { return bytes_.empty(); }
    std::uint8_t byte() {
        if (bytes_.empty()) return 0;
        std::uint8_t const value = bytes_.front();
        bytes_ = bytes_.subspan(1);
        return value;
    }
    // Small, negative and huge numbers alike.
    std::int64_t number() {
        std::uint8_t const kind = byte();
        std::int64_t value = static_cast<std::int8_t>(byte());
        if (kind % 4 == 1) value <<= kind / 4 % 56;
        return value;
    }
    std::string text(std::size_t size) {
        std::string result;
        while (result.size() < size && !empty()) result.push_back(static_cast<char>(byte()));
        return result.empty() ? "?" : result;
    }

  private:
    std::span<std::uint8_t const> bytes_;
};

template <class Map>
auto& pick(Map& map, Input& input) {
    return std::next(map.begin(), static_cast<std::ptrdiff_t>(input.byte() % map.size()))->second;
}

// Content follows the size, and the size stays small: only what the reader is told may be huge.
void fit(RawSegment::Table& table) {
    std::int64_t bytes = io::hdf5_type_bytes(table.type);
    for (std::int64_t& dim : table.dims) {
        dim = std::clamp<std::int64_t>(dim, 1, 40);
        bytes *= dim;
    }
    table.chunk.resize(table.chunk.empty() ? 0 : table.dims.size(), 1);
    for (std::size_t i = 0; i < table.chunk.size(); ++i) {
        table.chunk[i] = std::clamp<std::int64_t>(table.chunk[i], 1, table.dims[i]);
    }
    if (table.chunk.empty()) table.content.resize(static_cast<std::size_t>(bytes));
}

void change_table(RawSegment::Table& table, Input& input) {
    switch (input.byte() % 5) {
        case 0:
            table.type = static_cast<io::Hdf5Type>(input.byte() % 8);
            break;
        case 1:
            table.dims[input.byte() % table.dims.size()] = input.number();
            break;
        case 2:
            table.dims.resize(1 + input.byte() % 5, 1);
            break;
        case 3:
            table.chunk.resize(table.dims.size(), 1);
            table.chunk[input.byte() % table.chunk.size()] = input.number();
            break;
        default:
            for (std::byte& byte : table.content) {
                if (input.empty()) break;
                byte = static_cast<std::byte>(input.byte());
            }
    }
    fit(table);
}

void build(Input input, std::filesystem::path const& path) {
    RawSegment raw = RawSegment::sound();
    while (!input.empty()) {
        switch (input.byte() % 5) {
            case 0:
                pick(raw.numbers, input) = input.number();
                break;
            case 1:
                pick(raw.texts, input) = input.text(input.byte());
                break;
            case 2:
                if (raw.tables.size() > 1) {
                    raw.tables.erase(
                        std::next(raw.tables.begin(),
                                  static_cast<std::ptrdiff_t>(input.byte() % raw.tables.size())));
                }
                break;
            default:
                change_table(pick(raw.tables, input), input);
        }
    }
    raw.write(path);
}

// One file for the whole run; a fuzzer ends by being stopped, so the name is reused.
std::filesystem::path const& scratch() {
    static std::filesystem::path const path = [] {
        std::filesystem::path const root =
            ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
        std::filesystem::path result = root / ("longhaul-fuzz-kv-" + std::to_string(::getpid()));
        std::atexit([] { std::filesystem::remove(scratch()); });
        return result;
    }();
    return path;
}

void read_everything(io::KvSegmentReader const& reader) {
    io::KvSegmentShape const& shape = reader.shape();
    std::vector<std::byte> out;
    for (io::KvPart const part : io::detail::stored_parts(shape)) {
        out.resize(static_cast<std::size_t>(io::head_block_bytes(shape, part)));
        for (std::int64_t index = 0; index < reader.info().blocks; ++index) {
            static_cast<void>(
                reader.read(index, shape.layers.begin, shape.kv_heads.begin, part, out));
            static_cast<void>(
                reader.read(index, shape.layers.end - 1, shape.kv_heads.end - 1, part, out));
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    std::span<std::uint8_t const> const rest{data + 1, size - 1};
    if (data[0] % 2 == 0) {
        std::ofstream file(scratch(), std::ios::binary | std::ios::trunc);
        file.write(reinterpret_cast<char const*>(rest.data()),
                   static_cast<std::streamsize>(rest.size()));
    } else {
        build(Input(rest), scratch());
    }
    try {
        read_everything(io::KvSegmentReader(scratch()));
    } catch (ValidationError const&) {
        return 0;  // a refusal is the right end for a damaged file
    }
    return 0;
}
