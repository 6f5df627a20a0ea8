#pragma once

#include <stdexcept>

namespace longhaul::comm {

/// Communication broke down: ranks can no longer agree on anything, so the job ends (exit code 3).
class CommError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// An MPI call failed. The message holds MPI's text, the expression, file and line, rank and host.
class MpiError : public CommError {
  public:
    using CommError::CommError;
};

/// NCCL failed: a call, or a transfer between GPUs.
class NcclError : public CommError {
  public:
    using CommError::CommError;
};

/// Another rank failed while this one communicated (loopback; over MPI the job is aborted instead), or is lost (Watchdog).
class PeerFailed : public CommError {
  public:
    using CommError::CommError;
};

/// Two ranks disagree: a message has another size than its receiver expects.
class ProtocolError : public CommError {
  public:
    using CommError::CommError;
};

}  // namespace longhaul::comm
