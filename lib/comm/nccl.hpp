#pragma once

#include "device/gpu.hpp"
#include "comm/communicator.hpp"

#include <memory>
#include <string>

namespace longhaul::comm {

/// What this build and this host have of NCCL. The library is loaded when it is first asked for, so that one program runs on
/// hosts with and without it.
struct NcclStatus {
    std::string version;  ///< of the library that is loaded; empty without
    std::string missing;  ///< why it cannot be used; empty where it can
};
[[nodiscard]] NcclStatus const& nccl_status();
/// One line for people.
[[nodiscard]] std::string describe_nccl();

/// What the NCCL communicators of a rank share: its GPU, and the watchdog that ends the run when a peer is lost.
///
/// NCCL_NVLS_ENABLE is set to 0 unless the user has set it.
/// Errors      ValidationError without NCCL in the build or on the host
class NcclSession {
  public:
    explicit NcclSession(device::Gpu const& gpu);
    ~NcclSession();
    NcclSession(NcclSession const&) = delete;
    NcclSession& operator=(NcclSession const&) = delete;

    /// Collective over `group`: the same ranks, whose operations with a stream run in NCCL (NcclCommunicator). All have GPUs of
    /// their own. The session outlives what it returns.
    ///
    /// Errors      ValidationError where NCCL cannot connect the GPUs within a minute, on every rank that notices: to be agreed
    ///             on before anything else is exchanged.
    [[nodiscard]] std::unique_ptr<Communicator> connect(std::unique_ptr<Communicator> group);

    /// Collective over `heartbeat`, the ranks that depend on each other; its traffic is the watchdog's from here on. From here
    /// on the failure of a rank ends the run instead of unwinding (lib/README.md, error policy).
    void start_watchdog(std::unique_ptr<Communicator> heartbeat);
    /// Collective likewise. Called before the first communicator is closed.
    void finish();

    struct State;

  private:
    std::unique_ptr<State> state_;
};

}  // namespace longhaul::comm
