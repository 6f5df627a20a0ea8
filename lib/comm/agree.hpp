#pragma once

#include "comm/communicator.hpp"
#include "comm/error.hpp"

#include <cstddef>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace longhaul::comm {

/// Collective. When any rank has an error, all ranks throw SetupFailed with the message of the lowest such rank, prefixed
/// with its rank unless there is only one. Because all unwind together, collective releases stay safe afterwards.
void agree(Communicator& comm, std::optional<std::string> const& my_error);

/// Collective. Every rank must hold the same bytes; otherwise all throw SetupFailed, which names the lowest rank that differs
/// from rank 0. `what` completes "was started with different ...".
void agree_equal(Communicator& comm, std::span<std::byte const> bytes, std::string const& what);

/// Collective. Runs one step of the set-up that may fail on some ranks only, then agrees on its outcome.
template <class Work>
void agree_on(Communicator& comm, Work&& work) {
    std::optional<std::string> error;
    try {
        std::forward<Work>(work)();
    } catch (CommError const&) {
        throw;  // the ranks cannot agree over a broken group
    } catch (std::exception const& failure) {
        error = failure.what();
    }
    agree(comm, error);
}

}  // namespace longhaul::comm
