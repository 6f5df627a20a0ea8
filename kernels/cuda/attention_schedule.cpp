#include "kernels/cuda/attention_schedule.hpp"

#include "base/checked.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <queue>
#include <utility>

namespace longhaul::kernels::cuda {
namespace {

/// Beginning and ending a part costs about as much as this many KV tiles; writing partial results as many more, and putting
/// them together afterwards as many for all parts.
constexpr std::int64_t kPartCost = 2;
constexpr std::int64_t kPartialCost = 2;
constexpr std::int64_t kMergeCost = 4;
/// Parts of a tile that is longer than a CTA's share, so that the dealing can even them out.
constexpr std::int64_t kPartsPerShare = 4;

/// Parts for each of `count` tiles of `length` that have the GPU to themselves.
std::int64_t best_split(std::int64_t count, std::int64_t length, ScheduleShape const& shape) {
    std::int64_t best = 1;
    std::int64_t best_time = 0;
    std::int64_t const most = std::max<std::int64_t>(1, length / shape.min_part);
    for (std::int64_t splits = 1; splits <= most; ++splits) {
        std::int64_t const rounds = ceil_div(count * splits, shape.num_ctas);
        std::int64_t const whole = rounds * (ceil_div(length, splits) + kPartCost);
        std::int64_t const time = whole + (splits > 1 ? rounds * kPartialCost + kMergeCost : 0);
        if (splits == 1 || time < best_time) {
            best = splits;
            best_time = time;
        }
    }
    return best;
}

}  // namespace

std::vector<std::int32_t> choose_splits(std::span<std::int64_t const> lengths,
                                        ScheduleShape const& shape) {
    std::vector<std::int32_t> splits(lengths.size(), 1);
    auto const count = std::ssize(lengths);
    if (count == 0) {
        return splits;
    }
    auto const set = [&](std::int64_t tile, std::int64_t parts) {
        splits[tile] = checked_cast<std::int32_t>(parts);
    };
    if (shape.fixed_part > 0) {
        for (std::int64_t tile = 0; tile < count; ++tile) {
            set(tile, ceil_div(lengths[tile], shape.fixed_part));
        }
        return splits;
    }
    std::int64_t const total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
    std::int64_t const share = ceil_div(total, shape.num_ctas);
    auto const [shortest, longest] = std::minmax_element(lengths.begin(), lengths.end());
    if (*longest > share && *shortest < *longest) {
        std::int64_t const part = std::max(shape.min_part, ceil_div(share, kPartsPerShare));
        for (std::int64_t tile = 0; tile < count; ++tile) {
            if (lengths[tile] > share) {
                set(tile, std::max<std::int64_t>(1, lengths[tile] / part));
            }
        }
        return splits;
    }
    std::int64_t const rest = count % shape.num_ctas;
    if (rest > 0) {
        std::vector<std::int32_t> const order = longest_first(lengths);
        std::int64_t const parts = best_split(rest, lengths[order[count - rest]], shape);
        for (std::int64_t i = count - rest; i < count; ++i) {
            std::int64_t const most = std::max<std::int64_t>(1, lengths[order[i]] / shape.min_part);
            set(order[i], std::min(parts, most));
        }
    }
    return splits;
}

std::vector<std::int32_t> longest_first(std::span<std::int64_t const> lengths) {
    std::vector<std::int32_t> order(lengths.size());
    std::iota(order.begin(), order.end(), 0);
    if (lengths.empty()) {
        return order;
    }
    std::int64_t const longest = *std::max_element(lengths.begin(), lengths.end());
    // Nearly equal lengths keep their order: neighbours walk the same KV range.
    std::int64_t const step = std::max<std::int64_t>(1, longest / 16);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
        return ceil_div(lengths[a], step) > ceil_div(lengths[b], step);
    });
    return order;
}

std::vector<std::int32_t> deal_out(std::span<std::int64_t const> lengths,
                                   std::span<std::int32_t const> order, std::int64_t num_ctas) {
    using Load = std::pair<std::int64_t, std::int32_t>;
    std::vector<Load> idle;
    for (std::int64_t cta = 0; cta < num_ctas; ++cta) {
        idle.emplace_back(0, checked_cast<std::int32_t>(cta));
    }
    std::priority_queue<Load, std::vector<Load>, std::greater<>> ctas(std::greater<>{},
                                                                      std::move(idle));
    std::vector<std::int32_t> owner(lengths.size());
    for (std::int32_t const part : order) {
        auto const [load, cta] = ctas.top();
        ctas.pop();
        owner[part] = cta;
        ctas.emplace(load + lengths[part] + kPartCost, cta);
    }
    return owner;
}

}  // namespace longhaul::kernels::cuda
