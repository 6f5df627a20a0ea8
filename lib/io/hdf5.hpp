#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace longhaul::io {

/// Element types that longhaul reads and writes, little-endian; `other` is everything else.
enum class Hdf5Type { u16, u32, u64, i32, i64, f16, f32, f64, other };

[[nodiscard]] std::int64_t hdf5_type_bytes(Hdf5Type type);  ///< 0 for `other`

/// How a dataset lies in its file.
struct Hdf5Dataset {
    Hdf5Type type = Hdf5Type::other;
    std::vector<std::int64_t> dims;
    std::vector<std::int64_t> chunk;  ///< empty when it is not chunked
    /// Offset in the file of the first element when all elements lie there in one piece, chunk after chunk and unfiltered;
    /// -1 otherwise. Says nothing about whether the file is long enough.
    std::int64_t address = -1;
};

/// An HDF5 file that is read. Names are absolute paths such as "/layer_00003/key"; "/" is the file itself, for attributes.
/// Thread-safe, one call at a time in the whole process (HDF5 is serial).
/// Errors      ValidationError with the file, the object and HDF5's reason. HDF5 1.10 does not survive every hostile file:
///             what must hold against damage is sealed before it is opened here (io/file_seal.hpp)
class Hdf5File {
  public:
    explicit Hdf5File(std::filesystem::path path);
    Hdf5File(Hdf5File&&) noexcept;
    Hdf5File& operator=(Hdf5File&&) noexcept;
    ~Hdf5File();

    [[nodiscard]] std::filesystem::path const& path() const { return path_; }

    /// Whether a group or dataset of this name lies in this file itself (links into other files do not count).
    [[nodiscard]] bool has(std::string const& name) const;
    [[nodiscard]] Hdf5Dataset dataset(std::string const& name) const;

    /// Elements [start, start + count) of a dataset as they are stored, row-major. `out` has exactly their size.
    void read(std::string const& name, std::vector<std::int64_t> const& start,
              std::vector<std::int64_t> const& count, std::span<std::byte> out) const;

    /// Value of a scalar attribute of an object; empty when there is no such attribute or it is of another kind.
    [[nodiscard]] std::optional<std::int64_t> integer(std::string const& object,
                                                      std::string const& attribute) const;
    [[nodiscard]] std::optional<std::string> text(std::string const& object,
                                                  std::string const& attribute) const;

  private:
    struct Native;
    std::filesystem::path path_;
    std::unique_ptr<Native> native_;
};

}  // namespace longhaul::io
