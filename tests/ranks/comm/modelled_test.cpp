#include "comm/error.hpp"
#include "comm/modelled_communicator.hpp"
#include "comm/process_grid.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace longhaul::comm {
namespace {

template <class Work>
double seconds_of(Work const& work) {
    auto const begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Slow enough to be seen on any machine.
constexpr LinkModel kSlow{2e-3, 1e6};

TEST(ModelledCommunicator, OperationsTakeTheModelledTime) {
    ModelledCommunicator group(1, 3, kSlow, nullptr);
    std::vector<std::byte> piece(4000);
    std::vector<std::byte> all(3 * piece.size());
    std::vector<std::int64_t> const counts(3, std::ssize(piece));
    double const hop = kSlow.latency_s;
    double const piece_s = 4000.0 / kSlow.bytes_per_s;
    EXPECT_GE(seconds_of([&] { group.send(piece, 0, 1); }), hop + piece_s);
    EXPECT_GE(seconds_of([&] { group.recv(piece, 2, 1); }), hop + piece_s);
    EXPECT_GE(seconds_of([&] { group.broadcast(piece, 0); }), hop + piece_s);
    EXPECT_GE(seconds_of([&] { group.all_gather(piece, all); }), hop + 2 * piece_s);
    std::vector<std::byte> received(all.size());
    EXPECT_GE(seconds_of([&] { group.all_to_all(all, counts, received, counts); }),
              hop + 2 * piece_s);
    std::vector<float> values(3000);
    EXPECT_GE(seconds_of([&] { group.all_reduce_sum(values); }), 2 * (hop + 2 * piece_s));
}

TEST(ModelledCommunicator, ARankAloneWaitsForNobody) {
    ModelledCommunicator group(0, 1, {1.0, 1.0}, nullptr);
    std::vector<float> values{1.0F, 2.0F};
    std::vector<std::byte> data(8);
    std::vector<std::byte> all(8);
    EXPECT_LT(seconds_of([&] {
                  group.all_reduce_sum(values);
                  group.all_gather(data, all);
              }),
              0.5);
    EXPECT_EQ(values, (std::vector<float>{1.0F, 2.0F}));
}

TEST(ModelledCommunicator, PeersBringWhatThisRankBrings) {
    ModelledCommunicator group(1, 3, {1e-6, 1e12}, nullptr);
    std::vector<float> values{1.0F, -2.5F};
    group.all_reduce_sum(values);
    EXPECT_EQ(values, (std::vector<float>{3.0F, -7.5F}));

    std::vector<std::byte> const piece{std::byte{7}, std::byte{9}};
    std::vector<std::byte> all(6);
    group.all_gather(piece, all);
    for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(all[i], piece[i % 2]);
    }

    std::vector<float> const send{0.0F, 5.0F, 6.0F, 0.0F};  // 1, 2 and 1 to ranks 0, 1 and 2
    std::vector<std::int64_t> const send_bytes{4, 8, 4};
    std::vector<std::int64_t> const receive_bytes{4, 8, 16};  // less, as much and more than own
    std::vector<float> received(7, std::nanf(""));
    group.all_to_all(std::as_bytes(std::span(send)), send_bytes,
                     std::as_writable_bytes(std::span(received)), receive_bytes);
    EXPECT_EQ(std::vector(received.begin(), received.begin() + 5),
              (std::vector<float>{5.0F, 5.0F, 6.0F, 5.0F, 6.0F}));
    EXPECT_TRUE(std::isfinite(received[5]) && std::isfinite(received[6]));
}

TEST(ModelledCommunicator, WhatIsReceivedIsFiniteAndNotZero) {
    ModelledCommunicator group(1, 2, {1e-6, 1e12}, nullptr);
    std::vector<float> values((std::size_t{1} << 20) + 3, std::nanf(""));  // longer than the noise
    group.recv(std::as_writable_bytes(std::span(values)), 0, 1);
    double square = 0.0;
    for (float const value : values) {
        square += static_cast<double>(value) * static_cast<double>(value);
    }
    EXPECT_NEAR(square / static_cast<double>(values.size()), 1.0, 0.02);
}

TEST(ModelledCommunicator, RefusesWhatNeedsRealPeers) {
    ModelledCommunicator group(0, 2, {}, nullptr);
    EXPECT_THROW(static_cast<void>(group.receive(1, 1)), ProtocolError);
    EXPECT_THROW(static_cast<void>(group.split(0, 0)), ProtocolError);
    EXPECT_FALSE(group.try_receive(kAnySource, 1));
}

TEST(ModelledGrid, EveryAxisHasItsSizeAndThisRanksPlace) {
    GridShape const shape{1, 3, 2, 4};
    for (std::int64_t rank = 0; rank < shape.product(); ++rank) {
        ProcessGrid grid(shape, rank, {}, nullptr);
        GridCoord const at = coord_of(shape, rank);
        EXPECT_EQ(grid.coord(), at);
        EXPECT_EQ(grid.pipeline().size(), 3);
        EXPECT_EQ(grid.pipeline().rank(), at.spp);
        EXPECT_EQ(grid.kvp().size(), 2);
        EXPECT_EQ(grid.kvp().rank(), at.kvp);
        EXPECT_EQ(grid.tp().size(), 4);
        EXPECT_EQ(grid.tp().rank(), at.tp);
        EXPECT_EQ(grid.linear().size(), 8);
        EXPECT_EQ(grid.linear().rank(), at.kvp * 4 + at.tp);
        EXPECT_EQ(grid.replica().size(), 24);
        EXPECT_EQ(grid.world().rank(), rank);
        grid.close();
    }
}

}  // namespace
}  // namespace longhaul::comm
