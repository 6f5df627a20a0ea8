#pragma once

#include "base/error.hpp"
#include "io/model_file.hpp"
#include "io/weight_file.hpp"

#include <sys/mman.h>
#include <unistd.h>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

/// What the fuzz targets do with a file that opened.
namespace longhaul::fuzz {

/// A file in memory that has a path.
class MemoryFile {
  public:
    explicit MemoryFile(std::span<std::uint8_t const> bytes)
        : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
        if (descriptor_ < 0 || ::write(descriptor_, bytes.data(), bytes.size()) !=
                                   static_cast<ssize_t>(bytes.size())) {
            throw std::runtime_error("no memory for a file");
        }
    }
    ~MemoryFile() { ::close(descriptor_); }
    MemoryFile(MemoryFile const&) = delete;
    MemoryFile& operator=(MemoryFile const&) = delete;

    [[nodiscard]] std::filesystem::path path() const {
        return "/proc/self/fd/" + std::to_string(descriptor_);
    }

  private:
    int descriptor_;
};

/// First and last row of every tensor that read() takes, from the middle on.
inline void read_slices(io::WeightFile const& file) {
    std::vector<float> out;
    for (io::TensorInfo const& tensor : file.tensors()) {
        if (tensor.shape.empty() || tensor.shape.size() > 2 || tensor.rows() == 0) {
            continue;
        }
        Range const cols{tensor.cols() / 2, tensor.cols()};
        out.resize(static_cast<std::size_t>(cols.size()));
        file.read(tensor, {0, 1}, cols, out.data(), cols.size());
        file.read(tensor, {tensor.rows() - 1, tensor.rows()}, cols, out.data(), cols.size());
    }
}

inline void read_slices(io::ModelFile const& model) {
    ModelConfig const& config = model.config();
    std::vector<float> out;
    auto const last_row = [&](io::TensorShape shape, auto read) {
        out.resize(static_cast<std::size_t>(shape.cols));
        read(Range{shape.rows - 1, shape.rows}, Range{0, shape.cols});
    };
    for (int i = 0; i < 3; ++i) {
        auto const tensor = static_cast<io::GlobalTensor>(i);
        last_row(io::expected_shape(config, tensor), [&](Range rows, Range cols) {
            model.read(tensor, rows, cols, out.data(), cols.size());
        });
    }
    for (int i = 0; i < 9; ++i) {
        auto const tensor = static_cast<io::LayerTensor>(i);
        last_row(io::expected_shape(config, tensor), [&](Range rows, Range cols) {
            model.read(tensor, config.num_layers - 1, rows, cols, out.data(), cols.size());
        });
    }
    static_cast<void>(model.fingerprint());
}

/// A refusal is the right end for a damaged file; anything else that is thrown is a finding.
template <class Action>
void accept_refusal(Action action) {
    try {
        action();
    } catch (ValidationError const&) {
        return;
    }
}

}  // namespace longhaul::fuzz
