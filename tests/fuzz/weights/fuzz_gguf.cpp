// Input: a GGUF file.
#include "io/gguf_file.hpp"
#include "fuzz/weights/weight_file_reads.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace longhaul;
    fuzz::MemoryFile const file({data, size});
    fuzz::accept_refusal([&] { fuzz::read_slices(*io::GgufFile::open(file.path())); });
    fuzz::accept_refusal([&] { fuzz::read_slices(*io::ModelFile::open(file.path())); });
    return 0;
}
