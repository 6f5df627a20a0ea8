#include "comm/grid_shape.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <vector>

namespace longhaul::comm {
namespace {

using Asked = std::optional<std::int64_t>;

// The largest divisor of `value` that does not exceed `limit`.
std::int64_t largest_divisor(std::int64_t value, std::int64_t limit) {
    std::int64_t divisor = std::clamp<std::int64_t>(limit, 1, value);
    while (value % divisor != 0) {
        --divisor;
    }
    return divisor;
}

std::vector<std::int64_t> divisors(std::int64_t value) {
    std::vector<std::int64_t> found;
    for (std::int64_t divisor = 1; divisor <= value; ++divisor) {
        if (value % divisor == 0) {
            found.push_back(divisor);
        }
    }
    return found;
}

struct Axis {
    char const* name;
    Asked asked;
};
using Axes = std::array<Axis, 4>;

std::string flags(Axes const& axes) {
    std::vector<std::string> words;
    for (auto const& axis : axes) {
        if (axis.asked) {
            words.push_back(fmt::format("--{} {}", axis.name, *axis.asked));
        }
    }
    return fmt::format("{}", fmt::join(words, " "));
}

// Product of what was asked for; stops at the first excess over `world`, so that it cannot overflow.
std::int64_t asked_product(Axes const& axes, std::int64_t world) {
    std::int64_t product = 1;
    for (auto const& axis : axes) {
        if (product > world) {
            break;
        }
        std::int64_t const extent = axis.asked.value_or(1);
        product = extent > world ? world + 1 : product * extent;
    }
    return product;
}

// For each flag given, the values that fit the ranks while the other flags stay.
std::string what_fits(Axes const& axes, std::int64_t world) {
    bool const all_given =
        std::ranges::all_of(axes, [](Axis const& axis) { return axis.asked.has_value(); });
    std::vector<std::string> choices;
    for (auto const& axis : axes) {
        Axes others = axes;
        others[static_cast<std::size_t>(&axis - axes.data())].asked.reset();
        std::int64_t const rest = asked_product(others, world);
        if (!axis.asked || rest > world || world % rest != 0) {
            continue;
        }
        auto const values = all_given ? std::vector{world / rest} : divisors(world / rest);
        choices.push_back(fmt::format("--{} {}", axis.name, fmt::join(values, "|")));
    }
    if (choices.empty()) {
        return fmt::format("choose axes whose product is {} {}", all_given ? "" : "one of",
                           fmt::join(all_given ? std::vector{world} : divisors(world), ", "));
    }
    return fmt::format("with {} ranks and the other flags as they are, these fit: {}", world,
                       fmt::join(choices, ", or "));
}

void check_extents(Axes const& axes) {
    for (auto const& axis : axes) {
        LH_VALIDATE(axis.asked.value_or(1) >= 1, "--{} {} is not a number of ranks; give 1 or more",
                    axis.name, *axis.asked);
    }
}

void check_model(GridShape const& shape, ModelConfig const& model) {
    if (shape.tp > model.num_kv_heads) {
        std::int64_t const tp = largest_divisor(shape.tp, model.num_kv_heads);
        throw ValidationError(
            fmt::format("--tp {} is more than the {} KV heads of the model, so some ranks would "
                        "have none; split "
                        "the KV cache instead, for example --tp {} --kvp {}",
                        shape.tp, model.num_kv_heads, tp, shape.kvp * (shape.tp / tp)));
    }
    LH_VALIDATE(shape.spp <= model.num_layers,
                "--spp {} is more than the {} layers of the model, so some stages would have none; "
                "use --spp {} or "
                "less and put the other ranks into --kvp or --replicas",
                shape.spp, model.num_layers, largest_divisor(shape.spp, model.num_layers));
}

}  // namespace

std::string GridShape::to_string() const {
    return fmt::format("{} x {} x {} x {} (replicas x spp x kvp x tp)", replicas, spp, kvp, tp);
}

GridCoord coord_of(GridShape const& shape, std::int64_t rank) {
    LH_EXPECT(rank >= 0 && rank < shape.product());
    GridCoord coord;
    coord.tp = rank % shape.tp;
    rank /= shape.tp;
    coord.kvp = rank % shape.kvp;
    rank /= shape.kvp;
    coord.spp = rank % shape.spp;
    coord.replica = rank / shape.spp;
    return coord;
}

std::int64_t rank_of(GridShape const& shape, GridCoord const& coord) {
    LH_EXPECT(coord.tp >= 0 && coord.tp < shape.tp && coord.kvp >= 0 && coord.kvp < shape.kvp);
    LH_EXPECT(coord.spp >= 0 && coord.spp < shape.spp);
    LH_EXPECT(coord.replica >= 0 && coord.replica < shape.replicas);
    return ((coord.replica * shape.spp + coord.spp) * shape.kvp + coord.kvp) * shape.tp + coord.tp;
}

GridShape resolve_grid(std::int64_t world, Asked replicas, Asked spp, Asked kvp, Asked tp,
                       ModelConfig const& model) {
    LH_EXPECT(world >= 1 && model.num_kv_heads >= 1 && model.num_layers >= 1);
    Axes const axes{{{"replicas", replicas}, {"spp", spp}, {"kvp", kvp}, {"tp", tp}}};
    check_extents(axes);
    std::int64_t const product = asked_product(axes, world);
    LH_VALIDATE(product <= world && world % product == 0,
                "the grid {} does not divide the {} ranks; {}", flags(axes), world,
                what_fits(axes, world));

    GridShape shape{replicas.value_or(1), spp.value_or(1), kvp.value_or(1), tp.value_or(1)};
    std::int64_t rest = world / product;
    if (!replicas) {
        shape.replicas = rest;
        rest = 1;
    }
    if (!tp) {
        shape.tp = largest_divisor(rest, model.num_kv_heads);
        rest /= shape.tp;
    }
    if (!kvp) {
        shape.kvp = rest;
        rest = 1;
    }
    if (!spp) {
        shape.spp = rest;
        rest = 1;
    }
    LH_VALIDATE(rest == 1, "the grid {} leaves {} of {} ranks without work; {}", flags(axes),
                world - world / rest, world, what_fits(axes, world));
    check_model(shape, model);
    LH_ASSERT(shape.product() == world);
    return shape;
}

std::string explain(GridShape const& shape, Asked replicas, Asked spp, Asked kvp, Asked tp) {
    auto const part = [](char const* name, std::int64_t extent, bool asked) {
        return fmt::format("{} {}{}", name, extent, asked ? "" : " (default)");
    };
    return fmt::format(
        "grid of {} rank{}: {} x {} x {} x {}", shape.product(), shape.product() == 1 ? "" : "s",
        part("replicas", shape.replicas, replicas.has_value()),
        part("spp", shape.spp, spp.has_value()), part("kvp", shape.kvp, kvp.has_value()),
        part("tp", shape.tp, tp.has_value()));
}

}  // namespace longhaul::comm
