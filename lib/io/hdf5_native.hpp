#pragma once

// Stays inside lib/io: the only header that shows HDF5.
#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::io::detail {

/// Every use of HDF5 happens under this lock: the serial library may be built without thread safety, ranks may be threads
/// of one process, and a rank has threads of its own for files. The first call also sets the library up.
[[nodiscard]] std::unique_lock<std::recursive_mutex> hdf5_lock();

/// What HDF5 says about its last failure, the innermost place first.
[[nodiscard]] std::string hdf5_reason();

/// Owner of one HDF5 identifier of any kind.
class Hdf5Id {
  public:
    Hdf5Id() = default;
    explicit Hdf5Id(hid_t id) : id_(id) {}
    Hdf5Id(Hdf5Id&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
    Hdf5Id& operator=(Hdf5Id&& other) noexcept {
        std::swap(id_, other.id_);
        return *this;
    }
    Hdf5Id(Hdf5Id const&) = delete;
    Hdf5Id& operator=(Hdf5Id const&) = delete;
    ~Hdf5Id();

    [[nodiscard]] hid_t get() const { return id_; }
    [[nodiscard]] bool valid() const { return id_ >= 0; }
    /// Leaves it open for ever.
    void forget() { id_ = -1; }

  private:
    hid_t id_ = -1;
};

[[nodiscard]] inline std::vector<hsize_t> to_hsize(std::vector<std::int64_t> const& values) {
    return {values.begin(), values.end()};
}

}  // namespace longhaul::io::detail
