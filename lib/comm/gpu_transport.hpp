#pragma once

#include "device/gpu.hpp"
#include "device/gpu_info.hpp"
#include "comm/communicator.hpp"

#include <memory>
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
/// The same with what this build and this host have of NCCL, which is not loaded for a single rank.
[[nodiscard]] GpuTransportChoice choose_gpu_transport(Communicator& world,
                                                      device::GpuInfo const& gpu);

/// How messages between the ranks of `world` go, and why, for people.
[[nodiscard]] std::string describe(GpuTransportChoice const& choice, Communicator const& world);

/// Collective over the world. Every rank opens the GPU of its number on its node; with more ranks than GPUs they share.
/// SetupFailed where a rank has none.
[[nodiscard]] std::unique_ptr<device::Gpu> open_gpu(Communicator& world, int local_rank);

}  // namespace longhaul::comm
