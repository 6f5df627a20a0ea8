#include "comm/gpu_transport.hpp"

#include "comm/agree.hpp"
#include "comm/nccl.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace longhaul::comm {

GpuTransportChoice choose_gpu_transport(Communicator& world, device::GpuInfo const& gpu,
                                        std::string const& nccl_missing) {
    using Uuid = decltype(gpu.uuid);
    std::vector<Uuid> gpus(static_cast<std::size_t>(world.size()));
    world.all_gather(std::as_bytes(std::span(gpu.uuid)), std::as_writable_bytes(std::span(gpus)));
    auto const sharing = [&](Uuid const& one) {
        return static_cast<int>(std::ranges::count(gpus, one));
    };
    int most = 0;
    for (Uuid const& one : gpus) {
        most = std::max(most, sharing(one));
    }
    // The lowest rank that lacks the library.
    std::array<std::int64_t, 1> without{nccl_missing.empty() ? world.size() : world.rank()};
    world.all_reduce(without, ReduceOp::min);

    GpuTransportChoice choice;
    choice.ranks_on_gpu = sharing(gpu.uuid);
    if (world.size() == 1) {
        choice.reason = "there is one rank";
    } else if (most > 1) {
        choice.reason = fmt::format("up to {} ranks share a GPU", most);
    } else if (without[0] < world.size()) {
        choice.reason = fmt::format("rank {} has no NCCL{}", without[0],
                                    without[0] == world.rank() ? ": " + nccl_missing : "");
    } else {
        choice.transport = GpuTransport::nccl;
        choice.reason = "every rank has a GPU of its own";
    }
    return choice;
}

GpuTransportChoice choose_gpu_transport(Communicator& world, device::GpuInfo const& gpu) {
    return choose_gpu_transport(world, gpu, world.size() > 1 ? nccl_status().missing : "");
}

std::string describe(GpuTransportChoice const& choice, Communicator const& world) {
    if (world.size() == 1) {
        return "no other ranks";
    }
    return choice.transport == GpuTransport::nccl
               ? fmt::format("messages between ranks go by NCCL {} ({})", nccl_status().version,
                             choice.reason)
               : fmt::format("messages between ranks pass pinned host memory ({}: {})",
                             world.name(), choice.reason);
}

std::unique_ptr<device::Gpu> open_gpu(Communicator& world, int local_rank) {
    std::unique_ptr<device::Gpu> gpu;
    agree_on(world, [&] {
        int const num_gpus = std::max(1, static_cast<int>(device::list_gpus().size()));
        gpu = std::make_unique<device::Gpu>(local_rank % num_gpus);
    });
    return gpu;
}

}  // namespace longhaul::comm
