#include "kernels/reference/attention.hpp"

#include "base/bfloat16.hpp"
#include "kernels/reference/load_element.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace longhaul::kernels::reference {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

/// Online softmax of one (row, head): largest score, sum of exponentials, weighted sum of values.
struct RunningState {
    double largest = kNothing;
    double sum = 0.0;
    std::vector<double> values;

    void add(double score, AttentionArgs const& args, std::byte const* value_row_of_block,
             std::int64_t kv_head, std::int64_t slot) {
        if (score == kNothing) {
            return;  // weighs nothing, and -inf - -inf would be NaN
        }
        // Unlike std::max this takes a NaN and keeps it.
        double const next = score > largest || std::isnan(score) ? score : largest;
        double const keep = std::exp(largest - next);
        double const weight = std::exp(score - next);
        largest = next;
        sum = sum * keep + weight;
        for (std::int64_t dim = 0; dim < args.layout.value_dim; ++dim) {
            std::byte const* element =
                value_row_of_block + args.layout.value_offset(kv_head, slot, dim);
            double const value = load_element(args.layout.dtype, element);
            values[dim] = values[dim] * keep + weight * value;
        }
    }
};

double dot(AttentionArgs const& args, std::int64_t row, std::int64_t head, std::byte const* block,
           std::int64_t slot) {
    KvLayout const& layout = args.layout;
    std::int64_t const kv_head = head / (args.num_heads / layout.num_kv_heads);
    auto const* queries = static_cast<std::byte const*>(args.queries);
    double sum = 0.0;
    for (std::int64_t dim = 0; dim < layout.key_dim; ++dim) {
        std::int64_t const element = (row * args.num_heads + head) * layout.key_dim + dim;
        double const query =
            load_element(layout.dtype, queries + element * dtype_bytes(layout.dtype));
        sum += query * load_element(layout.dtype, block + layout.key_offset(kv_head, slot, dim));
    }
    return sum;
}

void attend_item(AttentionArgs const& args, AttentionItem const& item, std::int64_t index,
                 std::int64_t head, RunningState& state) {
    KvLayout const& layout = args.layout;
    std::int64_t const kv_head = head / (args.num_heads / layout.num_kv_heads);
    std::int64_t end = item.slot_end;
    if (!item.visible.empty()) {
        end = std::min(end, item.visible[index]);
    }
    for (KvExtent const& extent : item.extents) {
        for (std::int64_t i = 0; i < extent.count; ++i) {
            std::byte const* block = args.pool + (extent.block + i) * layout.block_bytes();
            std::int64_t const first = extent.first_slot + i * extent.slot_stride;
            for (std::int64_t slot = 0; slot < layout.block_slots; ++slot) {
                if (first + slot >= item.slot_begin && first + slot < end) {
                    double const score =
                        dot(args, item.rows[index], head, block, slot) * double{args.scale};
                    state.add(score, args, block, kv_head, slot);
                }
            }
        }
    }
}

void store(AttentionArgs const& args, std::int64_t row, std::int64_t head,
           RunningState const& state) {
    std::int64_t const position = row * args.num_heads + head;
    bool const nothing = state.largest == kNothing;
    for (std::int64_t dim = 0; dim < args.layout.value_dim; ++dim) {
        args.out[position * args.layout.value_dim + dim] =
            nothing ? 0.0F : static_cast<float>(state.values[dim] / state.sum);
    }
    args.lse[position] = nothing ? -std::numeric_limits<float>::infinity()
                                 : static_cast<float>(state.largest + std::log(state.sum));
}

}  // namespace

void attention(AttentionArgs const& args) {
    std::vector<RunningState> states(args.num_rows * args.num_heads);
    for (RunningState& state : states) {
        state.values.assign(args.layout.value_dim, 0.0);
    }
    for (AttentionItem const& item : args.items) {
        for (std::int64_t index = 0; index < std::ssize(item.rows); ++index) {
            for (std::int64_t head = 0; head < args.num_heads; ++head) {
                std::int64_t const row = item.rows[index];
                attend_item(args, item, index, head, states[row * args.num_heads + head]);
            }
        }
    }
    for (std::int64_t row = 0; row < args.num_rows; ++row) {
        for (std::int64_t head = 0; head < args.num_heads; ++head) {
            store(args, row, head, states[row * args.num_heads + head]);
        }
    }
}

}  // namespace longhaul::kernels::reference
