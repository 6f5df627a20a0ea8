#pragma once

#include "device/gpu.hpp"
#include "comm/communicator.hpp"
#include "comm/gpu_transport.hpp"
#include "comm/grid_shape.hpp"
#include "comm/modelled_communicator.hpp"
#include "comm/nccl.hpp"

#include <cstdint>
#include <memory>

namespace longhaul::comm {

/// The ranks of a run arranged as replicas x spp x kvp x tp, with one communicator per axis.
///
/// Collective  the constructor and close(), over all ranks of `world`
/// Lifetime    borrows `world`, which outlives it; closed before MPI is finalised, on the good path only
/// Errors      ValidationError when the shape does not have as many ranks as `world`
class ProcessGrid {
  public:
    ProcessGrid(Communicator& world, GridShape const& shape);
    /// The grid as its rank `rank` sees it, without the other ranks (ModelledCommunicator). `gpu` is null on the host.
    ProcessGrid(GridShape const& shape, std::int64_t rank, LinkModel const& link,
                device::Gpu const* gpu);

    [[nodiscard]] GridShape const& shape() const { return shape_; }
    [[nodiscard]] GridCoord const& coord() const { return coord_; }

    [[nodiscard]] Communicator& world() { return world_; }
    /// The spp x kvp x tp ranks of this replica, in this order of axes (tp fastest).
    [[nodiscard]] Communicator& replica() { return *replica_; }
    /// The kvp x tp ranks of this stage, tp fastest.
    [[nodiscard]] Communicator& linear() { return *linear_; }
    [[nodiscard]] Communicator& tp() { return *tp_; }
    [[nodiscard]] Communicator& kvp() { return *kvp_; }
    /// The same (kvp, tp) in every stage of this replica; the rank is the stage.
    [[nodiscard]] Communicator& pipeline() { return *pipeline_; }
    /// Ranks of replica() with traffic of their own, for the messages of the step loop.
    [[nodiscard]] Communicator& control() { return *control_; }
    /// Ranks of world() with traffic of their own, for pulling jobs and handing in results. World rank 0 serves it from a
    /// thread while its engine uses the others.
    [[nodiscard]] Communicator& service() { return *service_; }

    /// Collective over the world. From here on linear(), kvp() and pipeline() carry device memory of `gpu`, which outlives
    /// them. SetupFailed where NCCL cannot be used.
    void use_gpu(device::Gpu const& gpu, GpuTransport transport);
    /// Collective over the replica, at the end of the set-up. With NCCL, a lost peer ends the run from here on: a kernel that
    /// waits for it would not.
    void start_watchdog();

    void close();

  private:
    GridShape shape_;
    GridCoord coord_;
    std::unique_ptr<Communicator> own_world_;  // of a modelled grid
    Communicator& world_;
    std::unique_ptr<NcclSession> nccl_;  // outlives the groups that it has connected
    std::unique_ptr<Communicator> replica_, linear_, tp_, kvp_, pipeline_, control_, service_;
};

}  // namespace longhaul::comm
