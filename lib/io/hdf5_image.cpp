#include "io/hdf5_image.hpp"

#include "base/checked.hpp"
#include "io/hdf5_types.hpp"
#include "io/output_dir_files.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>

namespace longhaul::io {

using detail::Hdf5Id;

namespace {

constexpr char const* kWhere = "an HDF5 file in memory";

template <class Id>
Id checked(Id id, char const* action) {
    bool failed = false;
    if constexpr (std::is_same_v<Id, Hdf5Id>) {
        failed = !id.valid();
    } else {
        failed = id < 0;
    }
    if (failed) {
        throw IoError(fmt::format("cannot {} in {}: {}; give the process more memory", action,
                                  kWhere, detail::hdf5_reason()));
    }
    return id;
}

Hdf5Id make_space(std::span<std::int64_t const> dims) {
    std::vector<hsize_t> const sizes(dims.begin(), dims.end());
    return checked(Hdf5Id(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr)),
                   "describe a dataset");
}

Hdf5Id make_dataset_properties() {
    Hdf5Id properties = checked(Hdf5Id(H5Pcreate(H5P_DATASET_CREATE)), "describe a dataset");
    H5Pset_obj_track_times(properties.get(), false);
    return properties;
}

void select(hid_t space, Hdf5Mapping::Sizes const& start, std::int64_t step,
            Hdf5Mapping::Sizes const& count) {
    // Dimension 1 is `count` blocks of one row, every other one block of `count` rows.
    std::array<hsize_t, 4> begin{};
    std::array<hsize_t, 4> stride{};
    std::array<hsize_t, 4> blocks{1, 1, 1, 1};
    std::array<hsize_t, 4> block{};
    for (std::size_t i = 0; i < 4; ++i) {
        begin[i] = static_cast<hsize_t>(start[i]);
        block[i] = static_cast<hsize_t>(count[i]);
        stride[i] = block[i];
    }
    stride[1] = static_cast<hsize_t>(step);
    std::swap(blocks[1], block[1]);
    checked(H5Sselect_hyperslab(space, H5S_SELECT_SET, begin.data(), stride.data(), blocks.data(),
                                block.data()),
            "select a part of a dataset");
}

// In a source's name HDF5 replaces %b by a block number.
std::string escape_percent(std::string const& name) {
    std::string escaped;
    for (char const c : name) escaped.append(c == '%' ? 2 : 1, c);
    return escaped;
}

}  // namespace

struct Hdf5Image::Native {
    FileDescriptor memory;
    Hdf5Id file;

    Hdf5Id create(std::string const& name, Hdf5Type type, std::vector<std::int64_t> const& dims,
                  Hdf5Id const& properties) const {
        LH_EXPECT(file.valid());
        Hdf5Id const element = detail::make_hdf5_type(type);
        Hdf5Id const space = make_space(dims);
        return checked(Hdf5Id(H5Dcreate2(file.get(), name.c_str(), element.get(), space.get(),
                                         H5P_DEFAULT, properties.get(), H5P_DEFAULT)),
                       "create a dataset");
    }
    void set(std::string const& object, std::string const& attribute, hid_t type,
             void const* value) const {
        Hdf5Id const owner =
            checked(Hdf5Id(H5Oopen(file.get(), object.c_str(), H5P_DEFAULT)), "find an object");
        Hdf5Id const space = checked(Hdf5Id(H5Screate(H5S_SCALAR)), "describe an attribute");
        Hdf5Id const created = checked(Hdf5Id(H5Acreate2(owner.get(), attribute.c_str(), type,
                                                         space.get(), H5P_DEFAULT, H5P_DEFAULT)),
                                       "create an attribute");
        checked(H5Awrite(created.get(), type, value), "write an attribute");
    }
};

Hdf5Image::Hdf5Image(Alignment alignment) : native_(std::make_unique<Native>()) {
    auto const lock = detail::hdf5_lock();
    native_->memory = FileDescriptor(::memfd_create("hdf5-image", MFD_CLOEXEC));
    if (!native_->memory.valid()) throw_io_error(kWhere, "create", errno);
    Hdf5Id const access = checked(Hdf5Id(H5Pcreate(H5P_FILE_ACCESS)), "set up");
    // The default driver wants a real path behind a link, and a memory file has none.
    checked(H5Pset_fapl_stdio(access.get()), "set up");
    H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_alignment(access.get(), static_cast<hsize_t>(alignment.threshold),
                     static_cast<hsize_t>(alignment.bytes));
    H5Pset_file_locking(access.get(), false, true);
    Hdf5Id const creation = checked(Hdf5Id(H5Pcreate(H5P_FILE_CREATE)), "set up");
    H5Pset_obj_track_times(creation.get(), false);
    std::string const path = fmt::format("/proc/self/fd/{}", native_->memory.get());
    native_->file = checked(
        Hdf5Id(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get())), "begin");
}

// A limit on file sizes holds for memory files too, and HDF5 1.10 keeps a dangling identifier of a file that it cannot write
// to its end. Such a file is left open instead.
bool Hdf5Image::can_close() const {
    hsize_t size = 0;
    rlimit limit{};
    return H5Fget_filesize(native_->file.get(), &size) >= 0 &&
           ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && size <= limit.rlim_cur;
}

Hdf5Image::~Hdf5Image() {
    auto const lock = detail::hdf5_lock();
    if (native_->file.valid() && !can_close()) native_->file.forget();
    native_->file = Hdf5Id();
}

void Hdf5Image::create_group(std::string const& name) {
    auto const lock = detail::hdf5_lock();
    Hdf5Id const creation = checked(Hdf5Id(H5Pcreate(H5P_GROUP_CREATE)), "describe a group");
    H5Pset_obj_track_times(creation.get(), false);
    checked(Hdf5Id(H5Gcreate2(native_->file.get(), name.c_str(), H5P_DEFAULT, creation.get(),
                              H5P_DEFAULT)),
            "create a group");
}

void Hdf5Image::set(std::string const& object, std::string const& attribute, std::int64_t value) {
    auto const lock = detail::hdf5_lock();
    native_->set(object, attribute, H5T_STD_I64LE, &value);
}

void Hdf5Image::set(std::string const& object, std::string const& attribute,
                    std::string const& value) {
    auto const lock = detail::hdf5_lock();
    LH_EXPECT(!value.empty());
    Hdf5Id const type = checked(Hdf5Id(H5Tcopy(H5T_C_S1)), "describe a text");
    H5Tset_size(type.get(), value.size());
    H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    native_->set(object, attribute, type.get(), value.data());
}

void Hdf5Image::write(std::string const& name, Hdf5Type type, std::vector<std::int64_t> const& dims,
                      std::span<std::byte const> content) {
    auto const lock = detail::hdf5_lock();
    std::int64_t elements = 1;
    for (std::int64_t const dim : dims) elements *= dim;
    LH_EXPECT(elements * hdf5_type_bytes(type) == static_cast<std::int64_t>(content.size()));
    Hdf5Id const properties = make_dataset_properties();
    H5Pset_layout(properties.get(), H5D_CONTIGUOUS);
    H5Pset_alloc_time(properties.get(), H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER);
    Hdf5Id const dataset = native_->create(name, type, dims, properties);
    Hdf5Id const element = detail::make_hdf5_type(type);
    checked(H5Dwrite(dataset.get(), element.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, content.data()),
            "write a dataset");
}

std::int64_t Hdf5Image::reserve(std::string const& name, Hdf5Type type,
                                std::vector<std::int64_t> const& dims,
                                std::vector<std::int64_t> const& chunk) {
    auto const lock = detail::hdf5_lock();
    Hdf5Id const properties = make_dataset_properties();
    auto const chunk_dims = detail::to_hsize(chunk);
    checked(H5Pset_chunk(properties.get(), static_cast<int>(chunk.size()), chunk_dims.data()),
            "describe chunks");
    // Early allocation of unfiltered chunks needs no index: they follow each other in the file.
    H5Pset_alloc_time(properties.get(), H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER);
    Hdf5Id const dataset = native_->create(name, type, dims, properties);
    H5D_chunk_index_t index = H5D_CHUNK_IDX_BTREE;
    checked(H5Dget_chunk_index_type(dataset.get(), &index), "find chunks");
    LH_ASSERT(index == H5D_CHUNK_IDX_NONE || index == H5D_CHUNK_IDX_SINGLE);
    std::vector<hsize_t> const origin(dims.size());
    unsigned filters = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t bytes = 0;
    checked(H5Dget_chunk_info_by_coord(dataset.get(), origin.data(), &filters, &address, &bytes),
            "find chunks");
    LH_ASSERT(address != HADDR_UNDEF);
    return checked_cast<std::int64_t>(address);
}

void Hdf5Image::create_virtual(std::string const& name, Hdf5Type type,
                               std::vector<std::int64_t> const& dims,
                               std::span<Hdf5Mapping const> mappings) {
    auto const lock = detail::hdf5_lock();
    Hdf5Id const properties = make_dataset_properties();
    H5Pset_layout(properties.get(), H5D_VIRTUAL);
    Hdf5Id const space = make_space(dims);
    for (Hdf5Mapping const& mapping : mappings) {
        Hdf5Id const source = make_space(mapping.source_dims);
        select(source.get(), mapping.source_start, mapping.source_step, mapping.count);
        select(space.get(), mapping.start, mapping.step, mapping.count);
        checked(H5Pset_virtual(properties.get(), space.get(), escape_percent(mapping.file).c_str(),
                               escape_percent(mapping.dataset).c_str(), source.get()),
                "map a dataset");
    }
    native_->create(name, type, dims, properties);
}

void Hdf5Image::finish() {
    {
        auto const lock = detail::hdf5_lock();
        LH_EXPECT(native_->file.valid());
        if (!can_close()) throw_io_error(kWhere, "end", EFBIG);
        checked(H5Fflush(native_->file.get(), H5F_SCOPE_LOCAL), "end a file");
        native_->file = Hdf5Id();
    }
    find_written();
}

void Hdf5Image::find_written() {
    int const memory = native_->memory.get();
    struct stat status {};
    if (::fstat(memory, &status) != 0) throw_io_error(kWhere, "look at", errno);
    size_ = status.st_size;
    for (off_t end = 0; end < size_;) {
        off_t const begin = ::lseek(memory, end, SEEK_DATA);
        if (begin < 0 && errno == ENXIO) break;
        end = ::lseek(memory, std::max(begin, end), SEEK_HOLE);
        if (begin < 0 || end < 0) throw_io_error(kWhere, "look at", errno);
        written_.push_back({begin, std::min<std::int64_t>(end, size_)});
    }
}

void Hdf5Image::read(std::int64_t offset, std::span<std::byte> out) const {
    LH_EXPECT(offset >= 0 && offset + static_cast<std::int64_t>(out.size()) <= size_);
    while (!out.empty()) {
        ssize_t const got = ::pread(native_->memory.get(), out.data(), out.size(), offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) throw_io_error(kWhere, "read", got < 0 ? errno : EIO);
        out = out.subspan(static_cast<std::size_t>(got));
        offset += got;
    }
}

}  // namespace longhaul::io
