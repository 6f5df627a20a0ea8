#include "comm/agree.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace longhaul::comm {
namespace {

// The same bytes everywhere: those of `root`.
std::string broadcast_text(Communicator& comm, std::string text, int root) {
    std::array<std::int64_t, 1> size{std::ssize(text)};
    comm.broadcast(std::as_writable_bytes(std::span(size)), root);
    text.resize(checked_cast<std::size_t>(size[0]));
    comm.broadcast(std::as_writable_bytes(std::span(text)), root);
    return text;
}

}  // namespace

void agree(Communicator& comm, std::optional<std::string> const& my_error) {
    std::array<std::int64_t, 1> first_failing{my_error ? comm.rank() : comm.size()};
    comm.all_reduce(first_failing, ReduceOp::min);
    if (first_failing[0] == comm.size()) {
        return;
    }
    int const root = checked_cast<int>(first_failing[0]);
    std::string const message = broadcast_text(comm, my_error.value_or(""), root);
    throw SetupFailed(comm.size() == 1 ? message : fmt::format("rank {}: {}", root, message));
}

void agree_equal(Communicator& comm, std::span<std::byte const> bytes, std::string const& what) {
    auto const* const characters = reinterpret_cast<char const*>(bytes.data());
    std::string const mine(characters, bytes.size());
    std::optional<std::string> error;
    if (broadcast_text(comm, mine, 0) != mine) {
        error = fmt::format(
            "was started with different {} than rank 0; start all ranks with one mpirun command",
            what);
    }
    agree(comm, error);
}

}  // namespace longhaul::comm
