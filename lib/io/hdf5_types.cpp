#include "io/hdf5_types.hpp"

#include "base/error.hpp"

namespace longhaul::io {
namespace {

// IEEE binary16, which HDF5 1.10 has no name for.
detail::Hdf5Id make_f16() {
    detail::Hdf5Id type(H5Tcopy(H5T_IEEE_F32LE));
    H5Tset_fields(type.get(), 15, 10, 5, 0, 10);
    H5Tset_size(type.get(), 2);
    H5Tset_ebias(type.get(), 15);
    return type;
}

hid_t named_type(Hdf5Type type) {
    switch (type) {
        case Hdf5Type::u16:
            return H5T_STD_U16LE;
        case Hdf5Type::u32:
            return H5T_STD_U32LE;
        case Hdf5Type::u64:
            return H5T_STD_U64LE;
        case Hdf5Type::i32:
            return H5T_STD_I32LE;
        case Hdf5Type::i64:
            return H5T_STD_I64LE;
        case Hdf5Type::f32:
            return H5T_IEEE_F32LE;
        case Hdf5Type::f64:
            return H5T_IEEE_F64LE;
        default:
            return -1;
    }
}

}  // namespace

std::int64_t hdf5_type_bytes(Hdf5Type type) {
    switch (type) {
        case Hdf5Type::u16:
        case Hdf5Type::f16:
            return 2;
        case Hdf5Type::u32:
        case Hdf5Type::i32:
        case Hdf5Type::f32:
            return 4;
        case Hdf5Type::u64:
        case Hdf5Type::i64:
        case Hdf5Type::f64:
            return 8;
        case Hdf5Type::other:
            break;
    }
    return 0;
}

namespace detail {

Hdf5Id make_hdf5_type(Hdf5Type type) {
    if (type == Hdf5Type::f16) return make_f16();
    LH_EXPECT(type != Hdf5Type::other);
    return Hdf5Id(H5Tcopy(named_type(type)));
}

Hdf5Type hdf5_type_of(hid_t type) {
    for (Hdf5Type const candidate : {Hdf5Type::u16, Hdf5Type::u32, Hdf5Type::u64, Hdf5Type::i32,
                                     Hdf5Type::i64, Hdf5Type::f16, Hdf5Type::f32, Hdf5Type::f64}) {
        if (H5Tequal(type, make_hdf5_type(candidate).get()) > 0) return candidate;
    }
    return Hdf5Type::other;
}

}  // namespace detail
}  // namespace longhaul::io
