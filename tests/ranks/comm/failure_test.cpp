// What happens to the other ranks when one fails, over loopback. Under MPI the whole job ends instead
// (failing_job_test.py).

#include "comm/error.hpp"
#include "comm/loopback.hpp"
#include "comm/process_grid.hpp"
#include "ranks/comm/test_data.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

namespace longhaul::comm {
namespace {

struct Waiting {
    char const* name;
    std::function<void(Communicator&)> call;
};

// Every way to wait for a rank that never answers.
std::vector<Waiting> ways_to_wait() {
    return {
        {"barrier", [](Communicator& world) { world.barrier(); }},
        {"all_reduce_sum of one stage",
         [](Communicator& world) {
             std::vector<float> values(10);
             world.all_reduce_sum(values);
         }},
        {"all_reduce_sum of two stages",
         [](Communicator& world) {
             std::vector<float> values(100'000);
             world.all_reduce_sum(values);
         }},
        {"all_reduce",
         [](Communicator& world) {
             std::vector<std::int64_t> values(3);
             world.all_reduce(values, ReduceOp::max);
         }},
        {"broadcast",
         [](Communicator& world) {
             std::vector<std::byte> data(5);
             world.broadcast(data, world.size() - 1);
         }},
        {"recv",
         [](Communicator& world) {
             std::vector<std::byte> data(5);
             world.recv(data, world.size() - 1, 0);
         }},
        {"receive", [](Communicator& world) { static_cast<void>(world.receive(kAnySource, 0)); }},
        {"try_receive in a loop",
         [](Communicator& world) {
             while (!world.try_receive(world.size() - 1, 0)) {
                 std::this_thread::yield();
             }
         }},
        {"test in a loop",
         [](Communicator& world) {
             std::vector<std::byte> data(5);
             auto request = world.irecv(data, world.size() - 1, 0);
             while (!request.test()) {
                 std::this_thread::yield();
             }
         }},
        {"send in a loop",
         [](Communicator& world) {
             while (true) {
                 world.send({}, world.rank(), 0);
                 static_cast<void>(world.receive(world.rank(), 0));
             }
         }},
        {"split", [](Communicator& world) { static_cast<void>(world.split(0, 0)); }},
        {"grid",
         [](Communicator& world) {
             ProcessGrid const grid(world, {1, 1, world.size(), 1});
         }},
        {"part of a group",
         [](Communicator& world) {
             // The last rank is in this group and never speaks in it.
             auto group = world.split(0, world.rank());
             group->barrier();
         }},
    };
}

TEST(LoopbackFailure, EveryWayToWaitEndsWhenAPeerThrows) {
    for (int const ranks : {2, 3, 8}) {
        for (auto const& way : ways_to_wait()) {
            SCOPED_TRACE(way.name);
            std::atomic<int> released = 0;
            auto const run = [&] {
                run_loopback(ranks, [&](Communicator& world) {
                    if (world.rank() == ranks - 1) {
                        if (std::string(way.name) == "part of a group") {
                            static_cast<void>(world.split(0, world.rank()));
                        }
                        std::this_thread::sleep_for(std::chrono::milliseconds(2));
                        throw std::out_of_range("disk full");
                    }
                    try {
                        way.call(world);
                    } catch (PeerFailed const& failure) {
                        EXPECT_EQ(failure.what(),
                                  "rank " + std::to_string(ranks - 1) + " failed: disk full");
                        ++released;
                        throw;
                    }
                });
            };

            EXPECT_THROW(run(), std::out_of_range);

            EXPECT_EQ(released, ranks - 1);
        }
    }
}

TEST(LoopbackFailure, ARankThatComesLateLearnsOfIt) {
    auto const run = [] {
        run_loopback(2, [&](Communicator& world) {
            if (world.rank() == 0) {
                throw std::runtime_error("early");
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            EXPECT_THROW(world.barrier(), PeerFailed);
            EXPECT_THROW(world.send({}, 0, 0), PeerFailed);
        });
    };

    EXPECT_THROW(run(), std::runtime_error);
}

TEST(LoopbackFailure, AMessageThatHasArrivedIsStillReceived) {
    auto const run = [] {
        run_loopback(2, [&](Communicator& world) {
            if (world.rank() == 0) {
                world.send(pattern(9, 1), 1, 4);
                throw std::runtime_error("after sending");
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            EXPECT_EQ(world.receive(0, 4).data, pattern(9, 1));
        });
    };

    EXPECT_THROW(run(), std::runtime_error);
}

TEST(LoopbackFailure, AReceiveThatUnwindsLeavesItsMessageToTheNextOne) {
    // Its buffer is gone; a message that comes later must not be written there.
    run_loopback(1, [](Communicator& world) {
        auto const unwind = [&] {
            std::vector<std::byte> data(1000);
            auto const pending = world.irecv(data, 0, 1);
            throw std::runtime_error("with a pending receive");
        };
        EXPECT_THROW(unwind(), std::runtime_error);

        world.send(pattern(1000, 2), 0, 1);

        auto const message = world.try_receive(0, 1);
        ASSERT_TRUE(message.has_value());
        EXPECT_EQ(message->data, pattern(1000, 2));
    });
}

TEST(LoopbackFailure, TheFirstExceptionIsTheOneRethrown) {
    for (int round = 0; round < 20; ++round) {
        auto const run = [] {
            run_loopback(4, [&](Communicator& world) {
                if (world.rank() == 2) {
                    throw std::domain_error("the cause");
                }
                world.barrier();
            });
        };
        EXPECT_THROW(run(), std::domain_error);
    }
}

TEST(LoopbackFailure, ADroppedRequestBreaksTheContract) {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    auto const drop = [] {
        run_loopback(1, [](Communicator& world) {
            std::vector<std::byte> data(4);
            auto const forgotten = world.irecv(data, 0, 0);
        });
    };

    EXPECT_DEATH(drop(), "broken precondition");
}

}  // namespace
}  // namespace longhaul::comm
