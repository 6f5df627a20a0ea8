#pragma once

#include <memory>
#include <utility>

namespace longhaul::comm {

namespace detail {

/// What a transport keeps about one pending operation.
class RequestState {
  public:
    RequestState() = default;
    RequestState(RequestState const&) = delete;
    RequestState& operator=(RequestState const&) = delete;
    virtual ~RequestState() = default;

    /// Advances the operation; true once it is done. Not called again after that.
    virtual bool test() = 0;
    /// Idles a moment after a test that returned false; `round` counts the idle rounds of this wait.
    virtual void pause(int round) = 0;
};

}  // namespace detail

/// A pending operation of a Communicator. Move-only; default-constructed: nothing pending.
///
/// A pending operation reads or writes the caller's memory, so a request has to be waited for (or tested until done)
/// before it goes out of scope; only an exception that unwinds may drop it. The communicator outlives its requests.
class Request {
  public:
    Request() = default;
    explicit Request(std::unique_ptr<detail::RequestState> state) : state_(std::move(state)) {}
    Request(Request&&) noexcept = default;
    Request& operator=(Request&& other) noexcept;
    Request(Request const&) = delete;
    Request& operator=(Request const&) = delete;
    ~Request();

    /// True once the operation is done (and from then on). Throws what broke it.
    bool test();
    /// Returns when the operation is done; backs off to sleep while it is not.
    void wait();
    /// True until a test() or wait() has seen the end.
    [[nodiscard]] bool active() const { return state_ != nullptr; }

    /// One idle round, for loops that test several requests.
    void pause(int round);

  private:
    std::unique_ptr<detail::RequestState> state_;
};

}  // namespace longhaul::comm
