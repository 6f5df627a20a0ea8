#include "support/video_tokens/write_video_tokens.hpp"

#include "base/bfloat16.hpp"
#include "base/error.hpp"
#include "io/hdf5_native.hpp"

#include <random>

namespace longhaul::test {
namespace {

using io::detail::Hdf5Id;
using io::detail::to_hsize;

Hdf5Id half_type() {
    Hdf5Id type(H5Tcopy(H5T_IEEE_F32LE));
    H5Tset_fields(type.get(), 15, 10, 5, 0, 10);
    H5Tset_size(type.get(), 2);
    H5Tset_ebias(type.get(), 15);
    return type;
}

Hdf5Id stored_type(VideoElement element) {
    switch (element) {
        case VideoElement::f32:
            return Hdf5Id(H5Tcopy(H5T_IEEE_F32LE));
        case VideoElement::f32_big_endian:
            return Hdf5Id(H5Tcopy(H5T_IEEE_F32BE));
        case VideoElement::f16:
            return half_type();
        case VideoElement::bf16:
        case VideoElement::u16_unmarked:
            return Hdf5Id(H5Tcopy(H5T_STD_U16LE));
        case VideoElement::f64:
            return Hdf5Id(H5Tcopy(H5T_IEEE_F64LE));
        case VideoElement::i32:
            return Hdf5Id(H5Tcopy(H5T_STD_I32LE));
    }
    return {};
}

void put_text(hid_t object, char const* name, std::string const& text, bool variable) {
    Hdf5Id const type(H5Tcopy(H5T_C_S1));
    H5Tset_size(type.get(), variable ? H5T_VARIABLE : text.size());
    Hdf5Id const space(H5Screate(H5S_SCALAR));
    Hdf5Id const attribute(
        H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
    char const* const characters = text.c_str();
    void const* const value = variable ? static_cast<void const*>(&characters) : characters;
    LH_EXPECT(H5Awrite(attribute.get(), type.get(), value) >= 0);
}

void put_integer(hid_t object, char const* name, std::int64_t value) {
    Hdf5Id const space(H5Screate(H5S_SCALAR));
    Hdf5Id const attribute(
        H5Acreate2(object, name, H5T_STD_I32LE, space.get(), H5P_DEFAULT, H5P_DEFAULT));
    LH_EXPECT(H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value) >= 0);
}

void write_values(hid_t dataset, VideoTokensSpec const& spec) {
    bool const bits =
        spec.element == VideoElement::bf16 || spec.element == VideoElement::u16_unmarked;
    herr_t done = 0;
    if (bits) {
        std::vector<std::uint16_t> raw;
        for (float const value : spec.values) {
            raw.push_back(to_bfloat16(value).bits);
        }
        done = H5Dwrite(dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data());
    } else {
        done =
            H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, spec.values.data());
    }
    LH_EXPECT(done >= 0);
}

Hdf5Id create_file(std::filesystem::path const& path) {
    Hdf5Id file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    LH_EXPECT(file.valid());
    return file;
}

Hdf5Id space_of(std::vector<std::int64_t> const& shape) {
    std::vector<hsize_t> const lengths = to_hsize(shape);
    return shape.empty()
               ? Hdf5Id(H5Screate(H5S_SCALAR))
               : Hdf5Id(H5Screate_simple(static_cast<int>(shape.size()), lengths.data(), nullptr));
}

}  // namespace

void write_video_tokens(VideoTokensSpec const& spec, std::filesystem::path const& path) {
    auto const lock = io::detail::hdf5_lock();
    Hdf5Id const file = create_file(path);
    Hdf5Id const space = space_of(spec.shape);
    Hdf5Id const properties(H5Pcreate(H5P_DATASET_CREATE));
    if (!spec.chunk.empty()) {
        H5Pset_chunk(properties.get(), static_cast<int>(spec.chunk.size()),
                     to_hsize(spec.chunk).data());
    }
    if (spec.deflate) {
        H5Pset_deflate(properties.get(), 4);
    }
    Hdf5Id const type = stored_type(spec.element);
    Hdf5Id const dataset(H5Dcreate2(file.get(), spec.name.c_str(), type.get(), space.get(),
                                    H5P_DEFAULT, properties.get(), H5P_DEFAULT));
    LH_EXPECT(dataset.valid());
    if (!spec.values.empty()) {
        write_values(dataset.get(), spec);
    }
    if (spec.element == VideoElement::bf16) {
        put_text(dataset.get(), "dtype", "bf16", spec.variable_text);
    }
    if (!spec.model.empty()) {
        put_text(file.get(), "model", spec.model, spec.variable_text);
    }
    if (spec.width) {
        put_integer(dataset.get(), "width", *spec.width);
    }
    if (spec.timestamps) {
        Hdf5Id const times = space_of({*spec.timestamps});
        Hdf5Id const stamps(H5Dcreate2(file.get(), "timestamps", H5T_IEEE_F64LE, times.get(),
                                       H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
        LH_EXPECT(stamps.valid());
    }
}

void write_tokens_elsewhere(Elsewhere where, std::filesystem::path const& path,
                            std::filesystem::path const& real, std::int64_t rows,
                            std::int64_t width) {
    auto const lock = io::detail::hdf5_lock();
    Hdf5Id const file = create_file(path);
    Hdf5Id const space = space_of({rows, width});
    Hdf5Id const properties(H5Pcreate(H5P_DATASET_CREATE));
    switch (where) {
        case Elsewhere::external_link:
            H5Lcreate_external(real.c_str(), "/tokens", file.get(), "tokens", H5P_DEFAULT,
                               H5P_DEFAULT);
            return;
        case Elsewhere::soft_link:
            H5Lcreate_soft("/nowhere", file.get(), "tokens", H5P_DEFAULT, H5P_DEFAULT);
            return;
        case Elsewhere::external_storage:
            H5Pset_external(properties.get(), real.c_str(), 0,
                            static_cast<hsize_t>(rows) * static_cast<hsize_t>(width) * 4);
            break;
        case Elsewhere::virtual_dataset:
            H5Pset_virtual(properties.get(), space.get(), real.c_str(), "/tokens", space.get());
            break;
    }
    Hdf5Id const dataset(H5Dcreate2(file.get(), "tokens", H5T_IEEE_F32LE, space.get(), H5P_DEFAULT,
                                    properties.get(), H5P_DEFAULT));
    LH_EXPECT(dataset.valid());
}

std::vector<float> random_rows(std::uint64_t seed, std::int64_t count) {
    std::mt19937_64 random(seed);
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) {
        values.push_back(static_cast<float>(static_cast<int>(random() % 257) - 128) / 128.0F);
    }
    return values;
}

}  // namespace longhaul::test
