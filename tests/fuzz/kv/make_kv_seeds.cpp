// make_kv_seeds FOLDER: a sound segment file, and short recipes of changed ones, for the fuzzer to start from.
#include "io/kv_segment_writer.hpp"
#include "support/kv/raw_segment.hpp"
#include "support/kv/segment_case.hpp"

#include <cstdio>
#include <fstream>
#include <iterator>

namespace {

void put(std::filesystem::path const& path, std::string const& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

std::string content(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int argc, char** argv) {
    using namespace longhaul;
    if (argc != 2) {
        std::fprintf(stderr, "make_kv_seeds FOLDER\n");
        return 2;
    }
    std::filesystem::path const folder = argv[1];
    std::filesystem::create_directories(folder);
    std::filesystem::path const file = folder / "scratch";
    std::mt19937_64 random(1);
    test::SegmentCase const segment = test::make_segment_case(test::odd_shape(), 2, random);
    io::write_kv_segment(file, segment.shape, segment.blocks, segment.spans());
    put(folder / "segment", std::string(1, '\0') + content(file));
    test::RawSegment::sound().write(file);
    put(folder / "raw", std::string(1, '\0') + content(file));
    std::filesystem::remove(file);
    put(folder / "sound", "\x01");
    put(folder / "number", std::string("\x01\x00\x03\x00\x05", 5));
    put(folder / "text", std::string("\x01\x01\x01\x03"
                                     "abc",
                                     7));
    put(folder / "missing", "\x01\x02\x04");
    put(folder / "size", std::string("\x01\x03\x02\x01\x00\x00\x07", 7));
    put(folder / "chunk", std::string("\x01\x04\x05\x03\x01\x00\x02", 7));
    return 0;
}
