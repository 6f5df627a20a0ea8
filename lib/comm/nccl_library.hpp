#pragma once

// Stays inside lib/comm: the only header that shows NCCL; empty in a build without it.
#ifdef LONGHAUL_HAVE_NCCL

#    include <nccl.h>

namespace longhaul::comm::detail {

/// The functions of libnccl that are used here. Loaded at run time: hosts without it still run everything else.
struct NcclLibrary {
    decltype(&ncclGetVersion) get_version = nullptr;
    decltype(&ncclGetErrorString) error_string = nullptr;
    decltype(&ncclGetLastError) last_error = nullptr;
    decltype(&ncclGetUniqueId) get_unique_id = nullptr;
    decltype(&ncclCommInitRankConfig) init_rank = nullptr;
    decltype(&ncclCommGetAsyncError) async_error = nullptr;
    decltype(&ncclCommFinalize) finalize = nullptr;
    decltype(&ncclCommDestroy) destroy = nullptr;
    decltype(&ncclBroadcast) broadcast = nullptr;
    decltype(&ncclAllGather) all_gather = nullptr;
    decltype(&ncclSend) send = nullptr;
    decltype(&ncclRecv) receive = nullptr;
    decltype(&ncclGroupStart) group_start = nullptr;
    decltype(&ncclGroupEnd) group_end = nullptr;
};

/// Only where nccl_status() misses nothing.
[[nodiscard]] NcclLibrary const& nccl_library();

}  // namespace longhaul::comm::detail

#endif
