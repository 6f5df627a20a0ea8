#include "comm/loopback.hpp"

#include "base/error.hpp"
#include "comm/loopback_communicator.hpp"

#include <fmt/format.h>

#include <exception>
#include <thread>

namespace longhaul::comm {
namespace {

std::string text_of(std::exception_ptr const& error) {
    try {
        std::rethrow_exception(error);
    } catch (std::exception const& known) {
        return known.what();
    } catch (...) {
        return "an exception of unknown type";
    }
}

}  // namespace

void run_loopback(int ranks, std::function<void(Communicator& world)> const& body) {
    LH_EXPECT(ranks >= 1);
    auto const world = std::make_shared<detail::LoopbackWorld>();
    auto const group = world->make_group(ranks);
    std::exception_ptr
        first_error;  // written by the one rank that fails first, read after the threads have ended
    std::vector<std::thread> threads;
    threads.reserve(static_cast<std::size_t>(ranks));
    for (int rank = 0; rank < ranks; ++rank) {
        threads.emplace_back([&, rank] {
            // Unlike under MPI, a failing rank cannot end the others: it is recorded and the others are told.
            try {
                detail::LoopbackCommunicator communicator(world, group, rank);
                body(communicator);
            } catch (...) {
                auto const error = std::current_exception();
                if (world->fail(fmt::format("rank {} failed: {}", rank, text_of(error)))) {
                    first_error = error;
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    if (first_error) {
        std::rethrow_exception(first_error);
    }
}

}  // namespace longhaul::comm
