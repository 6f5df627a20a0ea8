#pragma once

#include "io/file_seal.hpp"
#include "io/hdf5_image.hpp"
#include "io/output_dir_files.hpp"
#include "io/positioned_io.hpp"

#include <fcntl.h>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace longhaul::test {

/// A segment as plain HDF5 objects, each of which may be wrong; written with a sound seal, so that a reader must find what
/// is wrong in the objects themselves.
struct RawSegment {
    struct Table {
        io::Hdf5Type type = io::Hdf5Type::other;
        std::vector<std::int64_t> dims;
        std::vector<std::int64_t> chunk;  ///< empty: contiguous with `content`, else reserved room
        std::vector<std::byte> content;
    };

    std::map<std::string, std::int64_t> numbers;  ///< attributes of /
    std::map<std::string, std::string> texts;     ///< attributes of /
    std::map<std::string, Table> tables;          ///< datasets

    template <class T>
    static Table table(io::Hdf5Type type, std::vector<std::int64_t> dims, std::vector<T> values) {
        auto const bytes = std::as_bytes(std::span(values));
        return {type, std::move(dims), {}, {bytes.begin(), bytes.end()}};
    }

    /// Two layers of two heads, three blocks of 4 slots, keys of 8 and values of 6.
    static RawSegment sound() {
        RawSegment raw;
        raw.texts = {{"format", "longhaul-kv-segment"}, {"model", "m"}, {"dtype", "bf16"}};
        raw.numbers = {{"format_version", 1}, {"block_slots", 4}, {"key_dim", 8},
                       {"value_dim", 6},      {"layer_begin", 1}, {"layer_end", 3},
                       {"kv_head_begin", 0},  {"kv_head_end", 2}, {"num_layers", 3},
                       {"num_kv_heads", 2}};
        raw.tables["/keys"] = table<std::uint64_t>(io::Hdf5Type::u64, {3, 2}, {1, 2, 3, 4, 5, 6});
        raw.tables["/block_numbers"] = table<std::int64_t>(io::Hdf5Type::i64, {3}, {0, 1, 2});
        raw.tables["/slots"] = table<std::int32_t>(io::Hdf5Type::i32, {3}, {4, 4, 1});
        raw.tables["/crc32c"] =
            table<std::uint32_t>(io::Hdf5Type::u32, {2, 2, 2, 3}, std::vector<std::uint32_t>(24));
        for (char const* layer : {"/layer_00001", "/layer_00002"}) {
            raw.tables[std::string(layer) + "/key"] = {
                io::Hdf5Type::u16, {2, 3, 4, 8}, {1, 3, 4, 8}, {}};
            raw.tables[std::string(layer) + "/value"] = {
                io::Hdf5Type::u16, {2, 3, 4, 6}, {1, 3, 4, 6}, {}};
        }
        return raw;
    }

    void write(std::filesystem::path const& path) const {
        io::Hdf5Image image;
        for (auto const& [name, value] : numbers) image.set("/", name, value);
        for (auto const& [name, value] : texts) image.set("/", name, value);
        std::set<std::string> groups;
        for (auto const& [name, content] : tables) {
            std::string const group = name.substr(0, name.rfind('/'));
            if (!group.empty() && groups.insert(group).second) image.create_group(group);
            if (content.chunk.empty()) {
                image.write(name, content.type, content.dims, content.content);
            } else {
                static_cast<void>(image.reserve(name, content.type, content.dims, content.chunk));
            }
        }
        image.finish();
        std::vector<std::byte> bytes(static_cast<std::size_t>(image.size()));
        image.read(0, bytes);
        io::FileDescriptor const file(
            ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
        if (io::write_at(file.get(), 0, bytes) != 0) throw io::IoError("cannot write a test file");
        io::write_seal(file.get(), path, image.size(), {{0, image.size()}});
    }
};

}  // namespace longhaul::test
