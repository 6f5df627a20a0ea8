#include "app/mpi_command.hpp"

#include "base/error.hpp"
#include "base/log.hpp"

#include <optional>

namespace longhaul::app {

int run_with_mpi(std::function<int(comm::MpiRuntime&)> const& body) {
    constexpr int kExitSetUp = 2;
    std::optional<comm::MpiRuntime> runtime;
    try {
        runtime.emplace();
    } catch (ValidationError const& error) {  // an MPI library that will not do, on all ranks alike
        log::error("{}", error.what());
        return kExitSetUp;
    }
    comm::MpiRuntime& mpi = *runtime;
    log::set_rank(mpi.world().size() > 1 ? mpi.world().rank() : -1);
    int code = kExitSetUp;
    try {
        code = body(mpi);
    } catch (SetupFailed const& failure) {
        // Thrown on all ranks alike: unwinding is the same everywhere, and one rank speaks.
        if (mpi.world().rank() == 0) {
            log::error("{}", failure.what());
        }
    }
    mpi.finish();
    return code;
}

}  // namespace longhaul::app
