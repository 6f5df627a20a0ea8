#pragma once

#include "device/gpu_info.hpp"
#include "comm/communicator.hpp"

#include <string>

namespace longhaul::comm {

/// What carries device memory between ranks: pinned host memory and the transport of the host, or NCCL.
enum class GpuTransport { host_staged, nccl };

struct GpuTransportChoice {
    GpuTransport transport = GpuTransport::host_staged;
    int ranks_on_gpu = 1;  ///< ranks that share this rank's GPU, this one included
    std::string reason;    ///< for people; says the most on the lowest rank concerned
};

/// Collective over the world. NCCL where every rank has a GPU of its own and all hosts have the library; `nccl_missing` says
/// why this one has not, or is empty.
[[nodiscard]] GpuTransportChoice choose_gpu_transport(Communicator& world,
                                                      device::GpuInfo const& gpu,
                                                      std::string const& nccl_missing);

}  // namespace longhaul::comm
