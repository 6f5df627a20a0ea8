#include "comm/process_grid.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "comm/agree.hpp"
#include "comm/host_staged.hpp"

namespace longhaul::comm {
namespace {

// Ranks that agree on everything but the axes set to zero in `coord` share a colour.
std::unique_ptr<Communicator> group(Communicator& world, GridShape const& shape,
                                    GridCoord const& coord) {
    return world.split(checked_cast<int>(rank_of(shape, coord)), world.rank());
}

}  // namespace

ProcessGrid::ProcessGrid(Communicator& world, GridShape const& shape)
    : shape_(shape), world_(world) {
    LH_VALIDATE(shape.product() == world.size(),
                "the grid {} needs {} ranks and there are {}; start as many", shape.to_string(),
                shape.product(), world.size());
    coord_ = coord_of(shape, world.rank());
    auto const [replica, spp, kvp, tp] = coord_;
    replica_ = group(world, shape, {replica, 0, 0, 0});
    linear_ = group(world, shape, {replica, spp, 0, 0});
    tp_ = group(world, shape, {replica, spp, kvp, 0});
    kvp_ = group(world, shape, {replica, spp, 0, tp});
    pipeline_ = group(world, shape, {replica, 0, kvp, tp});
    control_ = replica_->duplicate();
    service_ = world.duplicate();
    LH_ASSERT(pipeline_->rank() == coord_.spp && tp_->rank() == coord_.tp &&
              kvp_->rank() == coord_.kvp);
}

ProcessGrid::ProcessGrid(GridShape const& shape, std::int64_t rank, LinkModel const& link,
                         device::Gpu const* gpu)
    : shape_(shape),
      coord_(coord_of(shape, rank)),
      own_world_(std::make_unique<ModelledCommunicator>(rank, shape.product(), link, gpu)),
      world_(*own_world_) {
    auto const axis = [&](std::int64_t coordinate, std::int64_t size) {
        return std::make_unique<ModelledCommunicator>(coordinate, size, link, gpu);
    };
    replica_ = axis(rank % (shape.spp * shape.kvp * shape.tp), shape.spp * shape.kvp * shape.tp);
    linear_ = axis(rank % (shape.kvp * shape.tp), shape.kvp * shape.tp);
    tp_ = axis(coord_.tp, shape.tp);
    kvp_ = axis(coord_.kvp, shape.kvp);
    pipeline_ = axis(coord_.spp, shape.spp);
    control_ = replica_->duplicate();
    service_ = world_.duplicate();
}

void ProcessGrid::use_gpu(device::Gpu const& gpu, GpuTransport transport) {
    if (transport == GpuTransport::nccl) {
        agree_on(world_, [&] { nccl_ = std::make_unique<NcclSession>(gpu); });
    }
    for (auto* const group : {&pipeline_, &kvp_, &linear_}) {
        if (nccl_ && (*group)->size() > 1) {
            agree_on(world_, [&] { *group = nccl_->connect(std::move(*group)); });
        } else {
            *group = std::make_unique<HostStagedCommunicator>(std::move(*group), gpu);
        }
    }
}

void ProcessGrid::start_watchdog() {
    if (nccl_) {
        nccl_->start_watchdog(replica_->duplicate());
    }
}

void ProcessGrid::close() {
    if (nccl_) {
        nccl_->finish();
    }
    for (auto* const group : {&service_, &control_, &pipeline_, &kvp_, &tp_, &linear_, &replica_}) {
        (*group)->close();
        group->reset();
    }
    nccl_.reset();
}

}  // namespace longhaul::comm
