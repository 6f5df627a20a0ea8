#include "base/error.hpp"
#include "comm/nccl.hpp"

// In place of NCCL where it is not in the build.
namespace longhaul::comm {

struct NcclSession::State {};

NcclStatus const& nccl_status() {
    static NcclStatus const status{{}, "this build has no NCCL in it"};
    return status;
}

std::string describe_nccl() { return "not in this build"; }

NcclSession::NcclSession(device::Gpu const& /*gpu*/) {
    throw ValidationError(nccl_status().missing +
                          "; build the preset cuda where nccl.h is installed");
}
NcclSession::~NcclSession() = default;
std::unique_ptr<Communicator> NcclSession::connect(std::unique_ptr<Communicator> group) {
    return group;
}
void NcclSession::start_watchdog(std::unique_ptr<Communicator> /*heartbeat*/) {}
void NcclSession::finish() {}

}  // namespace longhaul::comm
