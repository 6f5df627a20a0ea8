#include "base/error.hpp"
#include "comm/agree.hpp"
#include "comm/process_grid.hpp"
#include "ranks/comm/test_data.hpp"
#include "support/loopback_or_mpi.hpp"

#include <array>

namespace longhaul::comm {
namespace {

std::vector<std::int64_t> gather_numbers(Communicator& group, std::int64_t mine) {
    std::array<std::int64_t, 1> const one{mine};
    std::vector<std::int64_t> all(static_cast<std::size_t>(group.size()));
    group.all_gather(std::as_bytes(std::span(one)), std::as_writable_bytes(std::span(all)));
    return all;
}

LH_RANK_TEST(Groups, SplitOrdersByKeyThenRank) {
    auto group = world.split(world.rank() % 2, -(world.rank() / 4));
    std::vector<std::int64_t> expected;
    for (int quarter = 1; quarter >= 0; --quarter) {
        for (int rank = quarter * 4; rank < std::min(world.size(), quarter * 4 + 4); ++rank) {
            if (rank % 2 == world.rank() % 2) {
                expected.push_back(rank);
            }
        }
    }

    EXPECT_EQ(gather_numbers(*group, world.rank()), expected);
    EXPECT_EQ(group->name(), world.name());
    group->close();
}

LH_RANK_TEST(Groups, NegativeColourJoinsNone) {
    auto group = world.split(world.rank() == 0 ? -1 : 0, 0);

    EXPECT_EQ(group == nullptr, world.rank() == 0);
    if (group) {
        EXPECT_EQ(group->size(), world.size() - 1);
        group->close();
    }
}

LH_RANK_TEST(Groups, ADuplicateHasTrafficOfItsOwn) {
    auto copy = world.duplicate();
    std::array<std::byte, 1> const one{};
    world.send(one, (world.rank() + 1) % world.size(), 1);
    world.barrier();

    EXPECT_FALSE(copy->try_receive(kAnySource, 1));
    EXPECT_EQ(world.receive(kAnySource, 1).data.size(), 1U);
    EXPECT_EQ(copy->rank(), world.rank());
    copy->close();
}

LH_RANK_TEST(Groups, SplitsOfSplits) {
    auto half = world.split(world.rank() / 2, world.rank());
    auto single = half->split(half->rank(), 0);
    auto again = half->duplicate();

    EXPECT_EQ(single->size(), 1);
    EXPECT_EQ(gather_numbers(*again, world.rank()), gather_numbers(*half, world.rank()));
    single->close();
    again->close();
    half->close();
}

std::vector<GridShape> shapes_of(std::int64_t ranks) {
    std::vector<GridShape> shapes;
    for (std::int64_t replicas = 1; replicas <= ranks; ++replicas) {
        for (std::int64_t spp = 1; replicas * spp <= ranks; ++spp) {
            for (std::int64_t kvp = 1; replicas * spp * kvp <= ranks; ++kvp) {
                if (ranks % (replicas * spp * kvp) == 0) {
                    shapes.push_back({replicas, spp, kvp, ranks / (replicas * spp * kvp)});
                }
            }
        }
    }
    return shapes;
}

// World ranks that have the coordinate of `rank` in every axis that is not freed, tp fastest.
struct Freed {
    bool spp = false, kvp = false, tp = false;
};
std::vector<std::int64_t> members(GridShape const& shape, std::int64_t rank, Freed freed) {
    auto const mine = coord_of(shape, rank);
    std::vector<std::int64_t> found;
    for (std::int64_t other = 0; other < shape.product(); ++other) {
        auto const coord = coord_of(shape, other);
        if (coord.replica == mine.replica && (freed.spp || coord.spp == mine.spp) &&
            (freed.kvp || coord.kvp == mine.kvp) && (freed.tp || coord.tp == mine.tp)) {
            found.push_back(other);
        }
    }
    return found;
}

LH_RANK_TEST(ProcessGrid, GroupsHoldTheRanksOfTheirAxes) {
    for (auto const& shape : shapes_of(world.size())) {
        SCOPED_TRACE(shape.to_string());
        ProcessGrid grid(world, shape);
        std::int64_t const me = world.rank();

        EXPECT_EQ(rank_of(shape, grid.coord()), me);
        EXPECT_EQ(gather_numbers(grid.replica(), me),
                  members(shape, me, {.spp = true, .kvp = true, .tp = true}));
        EXPECT_EQ(gather_numbers(grid.control(), me),
                  members(shape, me, {.spp = true, .kvp = true, .tp = true}));
        EXPECT_EQ(gather_numbers(grid.linear(), me), members(shape, me, {.kvp = true, .tp = true}));
        EXPECT_EQ(gather_numbers(grid.tp(), me), members(shape, me, {.tp = true}));
        EXPECT_EQ(gather_numbers(grid.kvp(), me), members(shape, me, {.kvp = true}));
        EXPECT_EQ(gather_numbers(grid.pipeline(), me), members(shape, me, {.spp = true}));
        EXPECT_EQ(grid.pipeline().rank(), grid.coord().spp);
        EXPECT_EQ(grid.service().size(), world.size());
        grid.close();
    }
}

LH_RANK_TEST(ProcessGrid, RefusesAShapeOfAnotherSize) {
    EXPECT_THROW(ProcessGrid(world, {1, 1, world.size() + 1, 1}), ValidationError);
}

LH_RANK_TEST(Agree, NothingHappensWithoutAnError) {
    agree(world, std::nullopt);
    agree_on(world, [] {});
}

std::string setup_failure(auto&& call) {
    try {
        call();
    } catch (SetupFailed const& failure) {
        return failure.what();
    }
    return "no failure";
}

LH_RANK_TEST(Agree, AllThrowTheMessageOfTheFirstFailingRank) {
    for (int failing = 0; failing < world.size(); ++failing) {
        auto const mine = world.rank() >= failing
                              ? std::optional("no file " + std::to_string(world.rank()))
                              : std::nullopt;
        auto const expected = world.size() == 1 ? std::string("no file 0")
                                                : "rank " + std::to_string(failing) + ": no file " +
                                                      std::to_string(failing);

        EXPECT_EQ(setup_failure([&] { agree(world, mine); }), expected);
    }
}

LH_RANK_TEST(Agree, AgreeOnTurnsExceptionsIntoOneMessage) {
    auto const message = setup_failure([&] {
        agree_on(world, [&] {
            if (world.rank() == world.size() - 1) {
                throw ValidationError("the model is missing");
            }
        });
    });

    EXPECT_TRUE(message.ends_with("the model is missing")) << message;
}

LH_RANK_TEST(Agree, AgreeEqualNamesTheRankThatDiffers) {
    auto const same = pattern(40, 1);
    agree_equal(world, same, "options");
    agree_equal(world, {}, "options");
    auto const other = pattern(world.rank() == world.size() - 1 && world.size() > 1 ? 41 : 40, 1);

    auto const message = setup_failure([&] { agree_equal(world, other, "options"); });

    auto const expected =
        "rank " + std::to_string(world.size() - 1) + ": was started with different options";
    EXPECT_TRUE(world.size() == 1 ? message == "no failure" : message.starts_with(expected))
        << message;
}

}  // namespace
}  // namespace longhaul::comm
