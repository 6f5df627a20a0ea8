#include "comm/nccl_library.hpp"

#include "base/error.hpp"
#include "comm/nccl.hpp"

#include <fmt/format.h>

#include <dlfcn.h>

namespace longhaul::comm {
namespace {

constexpr char const* kFile = "libnccl.so.2";

struct Loaded {
    detail::NcclLibrary functions;
    NcclStatus status;
};

std::string version_text(int code) {
    return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

template <class Function>
bool find(void* handle, char const* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(handle, name));
    return function != nullptr;
}

bool find_all(void* handle, detail::NcclLibrary& nccl) {
    return find(handle, "ncclGetVersion", nccl.get_version) &&
           find(handle, "ncclGetErrorString", nccl.error_string) &&
           find(handle, "ncclGetLastError", nccl.last_error) &&
           find(handle, "ncclGetUniqueId", nccl.get_unique_id) &&
           find(handle, "ncclCommInitRankConfig", nccl.init_rank) &&
           find(handle, "ncclCommGetAsyncError", nccl.async_error) &&
           find(handle, "ncclCommFinalize", nccl.finalize) &&
           find(handle, "ncclCommDestroy", nccl.destroy) &&
           find(handle, "ncclBroadcast", nccl.broadcast) &&
           find(handle, "ncclAllGather", nccl.all_gather) && find(handle, "ncclSend", nccl.send) &&
           find(handle, "ncclRecv", nccl.receive) &&
           find(handle, "ncclGroupStart", nccl.group_start) &&
           find(handle, "ncclGroupEnd", nccl.group_end);
}

Loaded load() {
    Loaded loaded;
    void* const handle = ::dlopen(kFile, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        loaded.status.missing =
            fmt::format("{} is not on this host (or not in LD_LIBRARY_PATH)", kFile);
        return loaded;
    }
    int code = 0;
    if (!find_all(handle, loaded.functions) || loaded.functions.get_version(&code) != ncclSuccess) {
        loaded.status.missing = fmt::format("{} lacks functions; 2.14 or newer is needed", kFile);
        return loaded;
    }
    loaded.status.version = version_text(code);
    return loaded;
}

Loaded const& loaded() {
    static Loaded const once = load();
    return once;
}

}  // namespace

NcclStatus const& nccl_status() { return loaded().status; }

std::string describe_nccl() {
    NcclStatus const& status = nccl_status();
    return status.missing.empty() ? status.version
                                  : fmt::format("built for {}, but {}",
                                                version_text(NCCL_VERSION_CODE), status.missing);
}

detail::NcclLibrary const& detail::nccl_library() {
    LH_EXPECT(nccl_status().missing.empty());
    return loaded().functions;
}

}  // namespace longhaul::comm
