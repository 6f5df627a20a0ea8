#include "io/hdf5_native.hpp"

namespace longhaul::io::detail {
namespace {

herr_t keep_description(unsigned /*depth*/, H5E_error2_t const* error, void* text) {
    // The walk ends at the innermost place, which knows the reason; what stands above it only says what failed for it.
    static_cast<std::string*>(text)->assign(error->desc != nullptr ? error->desc : "");
    return 0;
}

}  // namespace

std::unique_lock<std::recursive_mutex> hdf5_lock() {
    static std::recursive_mutex mutex;
    std::unique_lock<std::recursive_mutex> lock(mutex);
    static bool const ready = [] {
        // A thread of ours may be inside HDF5 when the process ends: the library must not tidy up behind its back.
        H5dont_atexit();
        H5open();
        // A file may name a filter; it must not make this process load code.
        H5PLset_loading_state(0);
        return true;
    }();
    static_cast<void>(ready);
    // Debian's build has an error stack per thread.
    thread_local bool const silent = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
    static_cast<void>(silent);
    return lock;
}

std::string hdf5_reason() {
    std::string reason;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_description, &reason);
    H5Eclear2(H5E_DEFAULT);
    return reason.empty() ? "no reason given" : reason;
}

Hdf5Id::~Hdf5Id() {
    if (id_ < 0) return;
    auto const lock = hdf5_lock();
    H5Idec_ref(id_);
}

}  // namespace longhaul::io::detail
