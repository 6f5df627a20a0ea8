// Input: 16 bits with the length of a config.json, the config.json, a safetensors file.
#include "io/safetensors_file.hpp"
#include "fuzz/weights/weight_file_reads.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <utility>

namespace {

// One folder for the whole run. The path is never destroyed: the handler that removes the folder runs after static objects
// have gone.
std::filesystem::path const& folder() {
    static auto const* const path = [] {
        std::filesystem::path const root =
            ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
        std::filesystem::path result = root / ("longhaul-fuzz-" + std::to_string(::getpid()));
        std::filesystem::create_directories(result);
        std::atexit([] { std::filesystem::remove_all(folder()); });
        return new std::filesystem::path(std::move(result));
    }();
    return *path;
}

void put(std::string const& name, std::span<std::uint8_t const> bytes) {
    std::ofstream file(folder() / name, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<char const*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace longhaul;
    if (size < 2) {
        return 0;
    }
    std::span<std::uint8_t const> const rest{data + 2, size - 2};
    std::size_t const length = std::min<std::size_t>(data[0] + 256U * data[1], rest.size());
    put("config.json", rest.first(length));
    put("model.safetensors", rest.subspan(length));
    fuzz::accept_refusal(
        [&] { fuzz::read_slices(*io::SafetensorsFile::open(folder() / "model.safetensors")); });
    fuzz::accept_refusal([&] { fuzz::read_slices(*io::ModelFile::open(folder())); });
    return 0;
}
