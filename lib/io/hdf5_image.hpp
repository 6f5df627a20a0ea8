#pragma once

#include "base/range.hpp"
#include "io/hdf5.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace longhaul::io {

/// A piece of another file's dataset shown in a virtual dataset, both of rank 4. Along dimension 1 `count` rows from
/// `start` on, `step` apart; along the others a plain range.
struct Hdf5Mapping {
    using Sizes = std::array<std::int64_t, 4>;

    std::string file;  ///< relative to the folder of the file that shows it
    std::string dataset;
    Sizes source_dims;  ///< of the whole source dataset
    Sizes source_start;
    std::int64_t source_step = 1;
    Sizes start;
    std::int64_t step = 1;
    Sizes count;
};

/// A new HDF5 file that takes shape in memory. HDF5 never sees the disk: a full disk would leave it with a file that it can
/// neither write nor close, whereas plain writes by the caller fail with a plain errno. Only what HDF5 itself writes takes
/// memory; the room of reserved datasets stays a hole that the caller fills in the real file.
///
/// Equal calls give equal bytes: no times are stored.
/// Errors      IoError (no memory, no memfd); a name used twice and the like are broken contracts
class Hdf5Image {
  public:
    /// Objects of at least `threshold` bytes begin at multiples of `bytes`.
    struct Alignment {
        std::int64_t threshold = 1;
        std::int64_t bytes = 1;
    };

    Hdf5Image() : Hdf5Image(Alignment{}) {}
    explicit Hdf5Image(Alignment alignment);
    Hdf5Image(Hdf5Image const&) = delete;
    Hdf5Image& operator=(Hdf5Image const&) = delete;
    ~Hdf5Image();

    void create_group(std::string const& name);
    void set(std::string const& object, std::string const& attribute, std::int64_t value);
    /// `value` must not be empty.
    void set(std::string const& object, std::string const& attribute, std::string const& value);

    /// A contiguous dataset and its content.
    void write(std::string const& name, Hdf5Type type, std::vector<std::int64_t> const& dims,
               std::span<std::byte const> content);

    /// A chunked dataset whose content the caller writes into the real file: returns the offset of its first chunk; the
    /// others follow in row-major order, each `chunk` whole.
    [[nodiscard]] std::int64_t reserve(std::string const& name, Hdf5Type type,
                                       std::vector<std::int64_t> const& dims,
                                       std::vector<std::int64_t> const& chunk);

    /// A dataset made of pieces of others; what no mapping covers reads as zero.
    void create_virtual(std::string const& name, Hdf5Type type,
                        std::vector<std::int64_t> const& dims,
                        std::span<Hdf5Mapping const> mappings);

    /// Ends the file. Nothing can be added afterwards, and only then can it be looked at.
    void finish();
    [[nodiscard]] std::int64_t size() const { return size_; }
    /// Where HDF5 wrote, in whole pages (reserved room may share a page); all else is zero.
    [[nodiscard]] std::vector<Range> const& written() const { return written_; }
    void read(std::int64_t offset, std::span<std::byte> out) const;

  private:
    struct Native;
    [[nodiscard]] bool can_close() const;
    void find_written();

    std::unique_ptr<Native> native_;
    std::int64_t size_ = 0;
    std::vector<Range> written_;
};

}  // namespace longhaul::io
