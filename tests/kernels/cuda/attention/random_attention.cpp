#include "kernels/cuda/attention/random_attention.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <vector>

namespace longhaul::kernels::test {
namespace {

struct Sequence {
    std::vector<std::int32_t> rows;
    std::vector<KvExtent> extents;
    std::int64_t history = 0;
    std::int64_t slots = 0;
};

CaseShape random_shape(AttentionRange const& range, std::mt19937_64& random) {
    constexpr std::array<std::int64_t, 5> kBlocks{16, 64, 128, 48, 96};
    constexpr std::array<std::int64_t, 7> kDims{8, 40, 64, 80, 96, 128, 256};
    constexpr std::array<std::int64_t, 6> kGroups{1, 3, 4, 7, 2, 16};
    CaseShape shape;
    shape.dtype = range.dtype;
    shape.block_slots = range.block_slots > 0 ? range.block_slots : kBlocks[pick(random, 0, 4)];
    shape.num_kv_heads = pick(random, 1, 3);
    shape.group = range.group > 0 ? range.group : kGroups[pick(random, 0, 5)];
    shape.key_dim = range.dim > 0 ? range.dim : kDims[pick(random, 0, 6)];
    bool const equal = range.dim > 0 || pick(random, 0, 1) == 0;
    shape.value_dim = equal ? shape.key_dim : 8 * pick(random, 1, 32);
    shape.num_rows = pick(random, 1, range.max_rows);
    shape.pool_blocks = 0;
    shape.magnitude = std::array<float, 3>{1.0F, 0.1F, 2.0F}[pick(random, 0, 2)];
    return shape;
}

std::vector<Sequence> random_sequences(AttentionRange const& range, CaseShape& shape,
                                       std::mt19937_64& random) {
    std::vector<std::int32_t> rows(shape.num_rows);
    std::iota(rows.begin(), rows.end(), 0);
    std::shuffle(rows.begin(), rows.end(), random);
    std::vector<Sequence> sequences;
    while (!rows.empty() && pick(random, 0, 6) != 0) {  // sometimes rows are left in no item
        Sequence sequence;
        std::int64_t const count = pick(random, 1, std::ssize(rows));
        sequence.rows.assign(rows.end() - count, rows.end());
        rows.resize(rows.size() - count);
        sequence.history = pick(random, 0, 2) == 0 ? 0 : pick(random, 0, range.max_history);
        sequence.slots = sequence.history + count;
        std::int64_t const kvp = pick(random, 1, 3);
        sequence.extents = place_sequence(shape, sequence.slots, pick(random, 0, kvp - 1), kvp,
                                          shape.pool_blocks, random);
        sequences.push_back(std::move(sequence));
    }
    return sequences;
}

void add_sequence(AttentionCase& attention, Sequence const& sequence, std::mt19937_64& random) {
    std::int64_t const first = pick(random, 0, sequence.history);
    std::int64_t const second = pick(random, first, sequence.history);
    attention.add_item(sequence.rows, sequence.extents, first / 2, second);
    if (pick(random, 0, 3) == 0) {
        attention.add_item({}, sequence.extents, 0, sequence.history);
        attention.add_item(sequence.rows, {}, 0, sequence.history);
    }
    attention.add_item(sequence.rows, sequence.extents, second, sequence.history);
    std::vector<std::int64_t> visible;
    for (std::int64_t i = 0; i < std::ssize(sequence.rows); ++i) {
        visible.push_back(sequence.history + (pick(random, 0, 7) == 0 ? 0 : i + 1));
    }
    attention.add_item(sequence.rows, sequence.extents, sequence.history, sequence.slots, visible);
}

}  // namespace

AttentionCase random_attention(AttentionRange const& range, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    CaseShape shape = random_shape(range, random);
    std::vector<Sequence> const sequences = random_sequences(range, shape, random);
    std::int64_t const document_slots = pick(random, 1, range.max_history);
    std::vector<KvExtent> document =
        place_sequence(shape, document_slots, 0, 1, shape.pool_blocks, random);
    shape.pool_blocks = std::max<std::int64_t>(1, shape.pool_blocks);
    AttentionCase attention(shape, random());
    if (pick(random, 0, 1) == 0) {
        std::shuffle(document.begin(), document.end(), random);
        std::vector<std::int32_t> readers;
        for (Sequence const& sequence : sequences) {
            if (pick(random, 0, 2) != 0) {
                readers.insert(readers.end(), sequence.rows.begin(), sequence.rows.end());
            }
        }
        attention.add_item(readers, document, pick(random, 0, document_slots), document_slots);
    }
    for (Sequence const& sequence : sequences) {
        add_sequence(attention, sequence, random);
    }
    return attention;
}

}  // namespace longhaul::kernels::test
