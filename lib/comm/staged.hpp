#pragma once

#include "comm/request.hpp"

#include <functional>
#include <span>
#include <vector>

namespace longhaul::comm::detail {

/// An operation made of stages: each stage posts transfers, and the next one begins when all of them are done.
/// Private to the transports.
class StagedOperation : public RequestState {
  public:
    using Stage = std::function<void(std::vector<Request>& pending)>;
    using Registry = std::vector<StagedOperation*>;

    /// Starts the first stage. While later stages are left the operation stands in `registry`, so that progress() of the
    /// communicator can advance it.
    StagedOperation(std::vector<Stage> stages, Registry& registry);
    ~StagedOperation() override;

    bool test() override;
    void pause(int round) override;

  private:
    void leave_registry();

    std::vector<Stage> stages_;
    std::size_t next_stage_ = 0;
    std::vector<Request> pending_;
    int round_ = 0;  ///< idle rounds since something last moved
    Registry& registry_;
    bool registered_ = false;
};

}  // namespace longhaul::comm::detail
