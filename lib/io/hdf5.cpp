#include "io/hdf5.hpp"

#include "base/checked.hpp"
#include "io/hdf5_types.hpp"

#include <algorithm>
#include <limits>

namespace longhaul::io {

using detail::Hdf5Id;

namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{1} << 20;

[[noreturn]] void refuse(std::filesystem::path const& path, std::string const& what) {
    std::string const reason = detail::hdf5_reason();
    throw ValidationError(fmt::format(
        "{}: cannot {}: {}; the file is damaged or not what it should be, take another copy of it",
        path.string(), what, reason));
}

std::vector<std::int64_t> to_int64(std::filesystem::path const& path, std::string const& name,
                                   std::vector<hsize_t> const& values) {
    for (hsize_t const value : values) {
        LH_VALIDATE(std::in_range<std::int64_t>(value),
                    "{}: {} claims {} rows, more than any file holds; the file is damaged",
                    path.string(), name, value);
    }
    return {values.begin(), values.end()};
}

// Where the elements begin when they lie in one piece, -1 otherwise.
std::int64_t address_of(hid_t dataset, hid_t properties, std::size_t rank) {
    haddr_t address = HADDR_UNDEF;
    H5D_layout_t const layout = H5Pget_layout(properties);
    if (layout == H5D_CONTIGUOUS && H5Pget_external_count(properties) == 0) {
        address = H5Dget_offset(dataset);
    } else if (layout == H5D_CHUNKED && H5Pget_nfilters(properties) == 0) {
        H5D_chunk_index_t index = H5D_CHUNK_IDX_BTREE;
        std::vector<hsize_t> const origin(rank);
        unsigned filters = 0;
        hsize_t bytes = 0;
        bool const in_order =
            H5Dget_chunk_index_type(dataset, &index) >= 0 &&
            (index == H5D_CHUNK_IDX_NONE || index == H5D_CHUNK_IDX_SINGLE) &&
            H5Dget_chunk_info_by_coord(dataset, origin.data(), &filters, &address, &bytes) >= 0;
        if (!in_order) address = HADDR_UNDEF;
    }
    H5Eclear2(H5E_DEFAULT);
    bool const known = address != HADDR_UNDEF && std::in_range<std::int64_t>(address);
    return known ? static_cast<std::int64_t>(address) : -1;
}

}  // namespace

struct Hdf5File::Native {
    Hdf5Id file;

    [[nodiscard]] Hdf5Id open_object(std::string const& name) const {
        return Hdf5Id(H5Oopen(file.get(), name.c_str(), H5P_DEFAULT));
    }
    [[nodiscard]] Hdf5Id open_attribute(Hdf5Id const& object, std::string const& name) const {
        bool const found = object.valid() && H5Aexists(object.get(), name.c_str()) > 0;
        return found ? Hdf5Id(H5Aopen(object.get(), name.c_str(), H5P_DEFAULT)) : Hdf5Id();
    }
};

Hdf5File::Hdf5File(std::filesystem::path path)
    : path_(std::move(path)), native_(std::make_unique<Native>()) {
    auto const lock = detail::hdf5_lock();
    Hdf5Id const access(H5Pcreate(H5P_FILE_ACCESS));
    // Files written once need no locks, and some network file systems refuse them.
    H5Pset_file_locking(access.get(), false, true);
    native_->file = Hdf5Id(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access.get()));
    if (!native_->file.valid()) refuse(path_, "open it as an HDF5 file");
}

Hdf5File::Hdf5File(Hdf5File&&) noexcept = default;
Hdf5File& Hdf5File::operator=(Hdf5File&&) noexcept = default;
Hdf5File::~Hdf5File() = default;

bool Hdf5File::has(std::string const& name) const {
    auto const lock = detail::hdf5_lock();
    bool found = true;
    for (std::size_t end = 1; found && end != std::string::npos && name != "/";) {
        end = name.find('/', end + 1);
        H5L_info_t link{};
        found = H5Lget_info(native_->file.get(), name.substr(0, end).c_str(), &link, H5P_DEFAULT) >=
                    0 &&
                link.type == H5L_TYPE_HARD;
    }
    H5Eclear2(H5E_DEFAULT);
    return found;
}

Hdf5Dataset Hdf5File::dataset(std::string const& name) const {
    auto const lock = detail::hdf5_lock();
    if (!has(name)) refuse(path_, "find " + name);
    Hdf5Id const dataset(H5Dopen2(native_->file.get(), name.c_str(), H5P_DEFAULT));
    if (!dataset.valid()) refuse(path_, "open " + name);
    Hdf5Id const type(H5Dget_type(dataset.get()));
    Hdf5Id const space(H5Dget_space(dataset.get()));
    Hdf5Id const properties(H5Dget_create_plist(dataset.get()));
    int const rank = space.valid() ? H5Sget_simple_extent_ndims(space.get()) : -1;
    if (!type.valid() || !properties.valid() || rank < 0) refuse(path_, "describe " + name);
    std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
    H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr);
    Hdf5Dataset result;
    result.type = detail::hdf5_type_of(type.get());
    result.dims = to_int64(path_, name, dims);
    if (H5Pget_layout(properties.get()) == H5D_CHUNKED) {
        if (H5Pget_chunk(properties.get(), rank, dims.data()) != rank)
            refuse(path_, "describe " + name);
        result.chunk = to_int64(path_, name, dims);
    }
    result.address = address_of(dataset.get(), properties.get(), dims.size());
    return result;
}

void Hdf5File::read(std::string const& name, std::vector<std::int64_t> const& start,
                    std::vector<std::int64_t> const& count, std::span<std::byte> out) const {
    auto const lock = detail::hdf5_lock();
    Hdf5Dataset const info = dataset(name);
    LH_VALIDATE(info.type != Hdf5Type::other, "{}: {} holds elements of an unknown type",
                path_.string(), name);
    LH_EXPECT(start.size() == info.dims.size() && count.size() == info.dims.size());
    std::int64_t bytes = hdf5_type_bytes(info.type);
    for (std::size_t i = 0; i < count.size(); ++i) {
        LH_EXPECT(start[i] >= 0 && count[i] >= 0 && start[i] <= info.dims[i] &&
                  count[i] <= info.dims[i] - start[i]);
        auto const product = checked_multiply(bytes, count[i]);
        LH_EXPECT(product);
        bytes = *product;
    }
    LH_EXPECT(std::in_range<std::int64_t>(out.size()) &&
              bytes == static_cast<std::int64_t>(out.size()));
    if (bytes == 0) return;
    Hdf5Id const object(H5Dopen2(native_->file.get(), name.c_str(), H5P_DEFAULT));
    Hdf5Id const type = detail::make_hdf5_type(info.type);
    Hdf5Id const space(H5Dget_space(object.get()));
    auto const rank = static_cast<int>(count.size());
    auto const counts = detail::to_hsize(count);
    Hdf5Id const memory(rank == 0 ? H5Screate(H5S_SCALAR)
                                  : H5Screate_simple(rank, counts.data(), nullptr));
    bool const selected = rank == 0 || H5Sselect_hyperslab(space.get(), H5S_SELECT_SET,
                                                           detail::to_hsize(start).data(), nullptr,
                                                           counts.data(), nullptr) >= 0;
    if (!selected ||
        H5Dread(object.get(), type.get(), memory.get(), space.get(), H5P_DEFAULT, out.data()) < 0) {
        refuse(path_, "read " + name);
    }
}

std::optional<std::int64_t> Hdf5File::integer(std::string const& object,
                                              std::string const& attribute) const {
    auto const lock = detail::hdf5_lock();
    Hdf5Id const owner = native_->open_object(object);
    Hdf5Id const opened = native_->open_attribute(owner, attribute);
    Hdf5Id const type(opened.valid() ? H5Aget_type(opened.get()) : -1);
    Hdf5Id const space(opened.valid() ? H5Aget_space(opened.get()) : -1);
    std::int64_t value = 0;
    bool const good = type.valid() && H5Tget_class(type.get()) == H5T_INTEGER && space.valid() &&
                      H5Sget_simple_extent_npoints(space.get()) == 1 &&
                      H5Aread(opened.get(), H5T_NATIVE_INT64, &value) >= 0;
    H5Eclear2(H5E_DEFAULT);
    return good ? std::optional(value) : std::nullopt;
}

std::optional<std::string> Hdf5File::text(std::string const& object,
                                          std::string const& attribute) const {
    auto const lock = detail::hdf5_lock();
    Hdf5Id const owner = native_->open_object(object);
    Hdf5Id const opened = native_->open_attribute(owner, attribute);
    Hdf5Id const type(opened.valid() ? H5Aget_type(opened.get()) : -1);
    Hdf5Id const space(opened.valid() ? H5Aget_space(opened.get()) : -1);
    std::optional<std::string> value;
    if (type.valid() && H5Tget_class(type.get()) == H5T_STRING && space.valid() &&
        H5Sget_simple_extent_npoints(space.get()) == 1) {
        if (H5Tis_variable_str(type.get()) > 0) {
            // h5py writes its strings this way; HDF5 allocates them.
            char* text = nullptr;
            if (H5Aread(opened.get(), type.get(), &text) >= 0)
                value.emplace(text != nullptr ? text : "");
            if (text != nullptr) H5free_memory(text);
        } else if (std::size_t const size = H5Tget_size(type.get()); size <= kMaxTextBytes) {
            std::string fixed(size, '\0');
            if (H5Aread(opened.get(), type.get(), fixed.data()) >= 0) {
                fixed.resize(std::min(size, fixed.find('\0')));
                value = std::move(fixed);
            }
        }
    }
    H5Eclear2(H5E_DEFAULT);
    return value;
}

}  // namespace longhaul::io
