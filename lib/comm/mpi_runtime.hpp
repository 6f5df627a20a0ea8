#pragma once

#include "comm/communicator.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace longhaul::comm {

/// Where this rank runs.
struct NodeInfo {
    std::string host;
    int local_rank = 0;  ///< among the ranks of this host
    int local_size = 1;
    int cores = 1;  ///< that the ranks of this host may use together
};

struct MpiOptions {
    /// Longer messages are described by a derived type; tests lower it.
    std::int64_t largest_plain_message = std::int64_t{1} << 30;
};

/// Owns MPI for the life of the process. Works under mpirun, and alone as one rank.
///
/// Failure rules (lib/README.md): set-up errors are agreed on and finish() runs as usual. Any later exception is caught by
/// nobody; the terminate handler installed here prints rank, host and message and ends the whole job with exit code 3
/// before any destructor runs, so that no rank waits for a lost one.
class MpiRuntime {
  public:
    /// Collective. ValidationError when the MPI library lacks what we need.
    explicit MpiRuntime(MpiOptions const& options = {});
    MpiRuntime(MpiRuntime const&) = delete;
    MpiRuntime& operator=(MpiRuntime const&) = delete;
    /// Does not finalise: that is finish(), on the good path.
    ~MpiRuntime();

    [[nodiscard]] Communicator& world() { return *world_; }
    [[nodiscard]] NodeInfo const& node() const { return node_; }

    /// Collective: waits for all ranks and finalises MPI. All files are closed before; all ranks then exit with one code
    /// (mpirun kills the others when one rank exits with another code than 0).
    void finish();

    /// Of the MPI library that is loaded, its first line.
    [[nodiscard]] static std::string library_version();

    /// Ends all ranks at once with this exit code.
    [[noreturn]] static void abort(int code);

  private:
    std::unique_ptr<Communicator> world_;
    NodeInfo node_;
};

}  // namespace longhaul::comm
