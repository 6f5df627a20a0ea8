#include "io/video_tokens_layout.hpp"

#include "base/checked.hpp"
#include "io/hdf5_native.hpp"
#include "io/job_utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace longhaul::io::detail {
namespace {

constexpr std::int64_t kMaxRows = std::int64_t{1} << 40;
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 20;

/// Asks an open file step by step; every step refuses what the next ones cannot take. Under the lock.
class LayoutReader {
  public:
    LayoutReader(std::filesystem::path const& path, std::int64_t file_bytes)
        : path_(path), file_bytes_(file_bytes) {}

    VideoTokensLayout read() {
        open();
        read_shape();
        read_type();
        read_attributes();
        read_storage();
        check_timestamps();
        return std::move(layout_);
    }

  private:
    [[noreturn]] void refuse(char const* code, std::string const& reason) const {
        refuse_video_tokens(path_, code, reason);
    }
    [[noreturn]] void bad(std::string const& reason) const { refuse("bad_video_tokens", reason); }

    void open();
    [[nodiscard]] Hdf5Id open_own_dataset(char const* name) const;
    void read_shape();
    void read_type();
    void read_storage();
    void read_chunks(hid_t properties);
    void add_address(haddr_t address, std::int64_t bytes);
    void check_timestamps();
    void read_attributes();
    [[nodiscard]] std::string text_attribute(hid_t object, char const* name) const;

    std::filesystem::path const& path_;
    std::int64_t file_bytes_;
    Hdf5Id file_;
    Hdf5Id tokens_;
    VideoTokensLayout layout_;
};

// Lengths of a simple dataset; those that no int64 holds, as -1. Empty for anything else.
std::vector<std::int64_t> shape_of(hid_t dataset) {
    Hdf5Id const space(H5Dget_space(dataset));
    if (!space.valid() || H5Sget_simple_extent_type(space.get()) != H5S_SIMPLE) {
        return {};
    }
    std::array<hsize_t, H5S_MAX_RANK> lengths{};
    int const rank = H5Sget_simple_extent_dims(space.get(), lengths.data(), nullptr);
    std::vector<std::int64_t> shape;
    for (int i = 0; i < rank; ++i) {
        hsize_t const length = lengths[static_cast<std::size_t>(i)];
        bool const fits = std::in_range<std::int64_t>(length);
        shape.push_back(fits ? static_cast<std::int64_t>(length) : -1);
    }
    return shape;
}

// HDF5 can describe any float: these are the IEEE ones.
bool is_ieee(hid_t type, std::size_t size) {
    std::size_t sign = 0;
    std::size_t exponent = 0;
    std::size_t exponent_bits = 0;
    std::size_t mantissa = 0;
    std::size_t mantissa_bits = 0;
    if (H5Tget_class(type) != H5T_FLOAT || H5Tget_size(type) != size ||
        H5Tget_norm(type) != H5T_NORM_IMPLIED ||
        H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) < 0) {
        return false;
    }
    std::array const fields{sign,     exponent,      exponent_bits,
                            mantissa, mantissa_bits, H5Tget_ebias(type)};
    return fields == (size == 4 ? std::array<std::size_t, 6>{31, 23, 8, 0, 23, 127}
                                : std::array<std::size_t, 6>{15, 10, 5, 0, 10, 15});
}

// Opens an attribute of one value.
Hdf5Id open_scalar(hid_t object, char const* name) {
    if (H5Aexists(object, name) <= 0) {
        return {};
    }
    Hdf5Id attribute(H5Aopen(object, name, H5P_DEFAULT));
    if (!attribute.valid()) {
        return {};
    }
    Hdf5Id const space(H5Aget_space(attribute.get()));
    return H5Sget_simple_extent_npoints(space.get()) == 1 ? std::move(attribute) : Hdf5Id();
}

std::optional<std::int64_t> integer_attribute(hid_t object, char const* name) {
    Hdf5Id const attribute = open_scalar(object, name);
    if (!attribute.valid()) {
        return std::nullopt;
    }
    Hdf5Id const type(H5Aget_type(attribute.get()));
    std::int64_t value = 0;
    bool const ok = H5Tget_class(type.get()) == H5T_INTEGER &&
                    H5Aread(attribute.get(), H5T_NATIVE_INT64, &value) >= 0;
    return ok ? std::optional(value) : std::nullopt;
}

void LayoutReader::open() {
    Hdf5Id const access(H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_file_locking(access.get(), false, true);  // many file systems of clusters have no locks
    file_ = Hdf5Id(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access.get()));
    if (!file_.valid()) {
        refuse("unreadable",
               fmt::format("HDF5 says: {}; the file is no HDF5 file, damaged or cut short: copy or "
                           "write it again",
                           hdf5_reason()));
    }
    Hdf5Id const created(H5Fget_create_plist(file_.get()));
    hsize_t user_block = 0;
    if (H5Pget_userblock(created.get(), &user_block) < 0 || user_block != 0) {
        bad("it has a user block in front; write it without (h5repack -u)");
    }
    tokens_ = open_own_dataset("tokens");
    if (!tokens_.valid()) {
        bad("it has no dataset /tokens of its own; scripts/make_video_tokens.py shows the form");
    }
}

// A link to elsewhere does not count: stamp and hash would not speak for it.
Hdf5Id LayoutReader::open_own_dataset(char const* name) const {
    H5L_info_t link{};
    bool const own = H5Lexists(file_.get(), name, H5P_DEFAULT) > 0 &&
                     H5Lget_info(file_.get(), name, &link, H5P_DEFAULT) >= 0 &&
                     link.type == H5L_TYPE_HARD;
    return own ? Hdf5Id(H5Dopen2(file_.get(), name, H5P_DEFAULT)) : Hdf5Id();
}

void LayoutReader::read_shape() {
    std::vector<std::int64_t> const shape = shape_of(tokens_.get());
    if (shape.size() != 2) {
        bad(fmt::format("/tokens has {} dimensions; write [tokens, width]", shape.size()));
    }
    if (shape[0] == 0) {
        refuse("empty", "/tokens has no rows; give at least one");
    }
    if (shape[0] < 0 || shape[0] > kMaxRows || shape[1] < 1 || shape[1] > kMaxWidth) {
        bad(fmt::format("/tokens has the impossible shape [{}, {}]", shape[0], shape[1]));
    }
    layout_.info.num_rows = shape[0];
    layout_.info.width = shape[1];
}

void LayoutReader::read_type() {
    Hdf5Id const type(H5Dget_type(tokens_.get()));
    bool const ordered = H5Tget_order(type.get()) == H5T_ORDER_LE;
    if (ordered && is_ieee(type.get(), 4)) {
        layout_.info.element = VideoTokensElement::f32;
    } else if (ordered && is_ieee(type.get(), 2)) {
        layout_.info.element = VideoTokensElement::f16;
    } else if (ordered && H5Tget_class(type.get()) == H5T_INTEGER && H5Tget_size(type.get()) == 2 &&
               text_attribute(tokens_.get(), "dtype") == "bf16") {
        layout_.info.element = VideoTokensElement::bf16;
    } else {
        bad("/tokens must hold float32, float16, or uint16 with the attribute dtype = \"bf16\", "
            "little-endian");
    }
}

void LayoutReader::read_storage() {
    VideoTokensInfo const& info = layout_.info;
    Hdf5Id const created(H5Dget_create_plist(tokens_.get()));
    H5D_layout_t const layout = H5Pget_layout(created.get());
    if (layout == H5D_VIRTUAL || H5Pget_external_count(created.get()) != 0) {
        bad("the rows of /tokens lie in other files; write them into this one (h5repack)");
    }
    if ((layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED) ||
        H5Pget_nfilters(created.get()) != 0) {
        bad("the rows of /tokens are compressed or inside its header; write them plainly (h5repack "
            "-f NONE -l CONTI)");
    }
    if (layout == H5D_CHUNKED) {
        read_chunks(created.get());
        return;
    }
    layout_.chunk_rows = info.num_rows;
    layout_.chunk_columns = info.width;
    add_address(H5Dget_offset(tokens_.get()), info.num_rows * info.row_bytes());
}

void LayoutReader::read_chunks(hid_t properties) {
    VideoTokensInfo const& info = layout_.info;
    std::array<hsize_t, 2> shape{};
    bool const sane = H5Pget_chunk(properties, 2, shape.data()) == 2 && shape[0] > 0 &&
                      shape[1] > 0 && shape[0] <= static_cast<hsize_t>(file_bytes_) &&
                      shape[1] <= static_cast<hsize_t>(file_bytes_);
    auto const rows = static_cast<std::int64_t>(shape[0]);
    auto const columns = static_cast<std::int64_t>(shape[1]);
    std::optional<std::int64_t> const elements =
        sane ? checked_multiply(rows, columns) : std::nullopt;
    if (!elements || *elements > file_bytes_) {
        bad("rows of /tokens were never written, or the file is damaged; write it again");
    }
    std::int64_t const bytes = *elements * info.element_bytes();
    std::int64_t const across = ceil_div(info.width, columns);
    std::int64_t const down = ceil_div(info.num_rows, rows);
    // Each chunk takes room of its own, so a file cannot ask for more addresses than it has bytes for.
    if (down > file_bytes_ / bytes / across) {
        bad("rows of /tokens were never written, or the file is damaged; write it again");
    }
    layout_.chunk_rows = rows;
    layout_.chunk_columns = columns;
    for (std::int64_t i = 0; i < down * across; ++i) {
        std::array<hsize_t, 2> const at{static_cast<hsize_t>(i / across * rows),
                                        static_cast<hsize_t>(i % across * columns)};
        unsigned mask = 0;
        haddr_t address = HADDR_UNDEF;
        hsize_t size = 0;
        bool const found =
            H5Dget_chunk_info_by_coord(tokens_.get(), at.data(), &mask, &address, &size) >= 0 &&
            size == static_cast<hsize_t>(bytes);
        add_address(found ? address : HADDR_UNDEF, bytes);
    }
}

void LayoutReader::add_address(haddr_t address, std::int64_t bytes) {
    if (address == HADDR_UNDEF || address == 0) {
        bad("rows of /tokens were never written, or the file is damaged; write it again");
    }
    if (bytes > file_bytes_ || address > static_cast<haddr_t>(file_bytes_ - bytes)) {
        refuse("unreadable", "rows of /tokens lie behind its end: it was cut short; copy it again");
    }
    layout_.addresses.push_back(static_cast<std::int64_t>(address));
}

void LayoutReader::check_timestamps() {
    if (H5Lexists(file_.get(), "timestamps", H5P_DEFAULT) <= 0) {
        return;
    }
    Hdf5Id const stamps = open_own_dataset("timestamps");
    bool good = false;
    if (stamps.valid()) {
        Hdf5Id const type(H5Dget_type(stamps.get()));
        H5T_class_t const kind = H5Tget_class(type.get());
        good = shape_of(stamps.get()) == std::vector{layout_.info.num_rows} &&
               (kind == H5T_FLOAT || kind == H5T_INTEGER);
    }
    if (!good) {
        bad(
            fmt::format("/timestamps must be a dataset of {} numbers, one per row of /tokens; "
                        "correct it or leave it out",
                        layout_.info.num_rows));
    }
    layout_.info.has_timestamps = true;
}

void LayoutReader::read_attributes() {
    for (hid_t const object : {tokens_.get(), file_.get()}) {
        if (layout_.info.model.empty()) {
            layout_.info.model = text_attribute(object, "model");
        }
        std::optional<std::int64_t> const width = integer_attribute(object, "width");
        if (width && *width != layout_.info.width) {
            bad(
                fmt::format("the attribute width says {}, but the rows of /tokens have {} numbers; "
                            "write the file again",
                            *width, layout_.info.width));
        }
    }
}

// Empty where there is no such attribute or it is no text.
std::string LayoutReader::text_attribute(hid_t object, char const* name) const {
    constexpr std::size_t kLongest = 4096;
    Hdf5Id const attribute = open_scalar(object, name);
    if (!attribute.valid()) {
        return {};
    }
    Hdf5Id const type(H5Aget_type(attribute.get()));
    std::size_t const size = H5Tget_size(type.get());
    if (H5Tget_class(type.get()) != H5T_STRING) {
        return {};
    }
    // HDF5 1.10 crashes on such text where the file is damaged just there (H5HG_read).
    if (H5Tis_variable_str(type.get()) > 0) {
        bad(
            fmt::format("its attribute {} is text of variable length; write it with a fixed length "
                        "(h5py: attrs[\"{}\"] = numpy.bytes_(\"...\"))",
                        name, name));
    }
    std::string text(std::min(size, kLongest), '\0');
    if (size > kLongest || H5Aread(attribute.get(), type.get(), text.data()) < 0) {
        return {};
    }
    text.resize(std::min(text.find('\0'), text.size()));
    text.erase(text.find_last_not_of(' ') + 1);  // Fortran pads with spaces
    return text;
}

}  // namespace

VideoTokensLayout read_video_tokens_layout(std::filesystem::path const& path,
                                           std::int64_t file_bytes) {
    auto const lock = hdf5_lock();
    return LayoutReader(path, file_bytes).read();
}

void refuse_video_tokens(std::filesystem::path const& path, char const* code,
                         std::string const& reason) {
    throw VideoTokensError({code, fmt::format("cannot use the video tokens {}: {}",
                                              replace_invalid_utf8(path.string()), reason)});
}

}  // namespace longhaul::io::detail
