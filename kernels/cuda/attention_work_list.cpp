#include "kernels/cuda/attention_work_list.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace longhaul::kernels::cuda {
namespace {

bool same_rows(std::span<std::int32_t const> a, std::span<std::int32_t const> b) {
    return a.size() == b.size() &&
           (a.data() == b.data() || std::equal(a.begin(), a.end(), b.begin()));
}

}  // namespace

std::int64_t WorkListShape::piece_slots() const { return std::gcd(tile_slots, layout.block_slots); }

AttentionWorkList::AttentionWorkList(WorkListShape const& shape)
    : shape_(shape),
      piece_slots_(shape.piece_slots()),
      tile_pieces_(shape.tile_slots / piece_slots_),
      block_pieces_(shape.layout.block_slots / piece_slots_),
      group_(shape.num_heads / shape.layout.num_kv_heads) {
    LH_EXPECT(shape.num_heads % shape.layout.num_kv_heads == 0);
}

void AttentionWorkList::build(std::int64_t num_rows, std::span<AttentionItem const> items) {
    clear();
    chain_items(items);
    find_shared_rows(num_rows);
    chain_split_.assign(chains_.size(), 0);
    cut(shape_.wide, false, wide);
    cut(shape_.narrow, true, narrow);
    list_combine_rows(num_rows);
}

void AttentionWorkList::clear() {
    pieces.clear();
    rows.clear();
    visible.clear();
    wide.tiles.clear();
    narrow.tiles.clear();
    tile_parts.clear();
    combine_rows.clear();
    places.clear();
    partial_rows = 0;
    num_blocks = 0;
    chains_.clear();
}

void AttentionWorkList::chain_items(std::span<AttentionItem const> items) {
    Chain chain;
    for (AttentionItem const& item : items) {
        if (item.rows.empty()) {
            continue;
        }
        if (!continues(chain, item)) {
            close(chain);
            chain = {.first_row = std::ssize(rows),
                     .num_rows = std::ssize(item.rows),
                     .first_piece = std::ssize(pieces)};
            rows.insert(rows.end(), item.rows.begin(), item.rows.end());
            visible.resize(rows.size(), kSeesAll);
        }
        append_pieces(item, chain);
    }
    close(chain);
}

bool AttentionWorkList::continues(Chain const& chain, AttentionItem const& item) const {
    std::span<std::int32_t const> const chain_rows(rows.data() + chain.first_row, chain.num_rows);
    return !shape_.fixed_splits && chain.num_rows > 0 &&
           (chain.masked_piece < 0 || item.visible.empty()) && same_rows(chain_rows, item.rows);
}

void AttentionWorkList::append_pieces(AttentionItem const& item, Chain& chain) {
    if (!item.visible.empty()) {
        chain.masked_piece = std::ssize(pieces);
        std::copy(item.visible.begin(), item.visible.end(), visible.begin() + chain.first_row);
    }
    bool ascending = true;
    std::int64_t const block_slots = shape_.layout.block_slots;
    std::int64_t last_slot = -1;
    for (KvExtent const& extent : item.extents) {
        std::int64_t const stride = std::max<std::int64_t>(1, extent.slot_stride);
        std::int64_t const before = item.slot_begin - block_slots - extent.first_slot;
        std::int64_t const begin = before < 0 ? 0 : before / stride + 1;
        std::int64_t const behind = std::max<std::int64_t>(0, item.slot_end - extent.first_slot);
        std::int64_t const end = std::min(extent.count, ceil_div(behind, stride));
        for (std::int64_t i = begin; i < end; ++i) {
            append_block(item, extent.block + i, extent.first_slot + i * stride);
        }
        if (begin < end) {
            ascending = ascending && extent.first_slot > last_slot;
            last_slot = extent.first_slot + (extent.count - 1) * stride;
            num_blocks = std::max(num_blocks, extent.block + extent.count);
        }
    }
    chain.masked_sorted = !item.visible.empty() && ascending;
}

void AttentionWorkList::append_block(AttentionItem const& item, std::int64_t block,
                                     std::int64_t first_slot) {
    for (std::int64_t i = 0; i < block_pieces_; ++i) {
        std::int64_t const first = first_slot + i * piece_slots_;
        std::int64_t const lo = std::clamp<std::int64_t>(item.slot_begin - first, 0, piece_slots_);
        std::int64_t const hi = std::clamp<std::int64_t>(item.slot_end - first, 0, piece_slots_);
        if (lo < hi) {
            pieces.push_back({.index = checked_cast<std::int32_t>(block * block_pieces_ + i),
                              .lo = static_cast<std::uint8_t>(lo),
                              .hi = static_cast<std::uint8_t>(hi),
                              .masked = item.visible.empty() ? std::uint16_t{0} : std::uint16_t{1},
                              .first_slot = first});
        }
    }
}

void AttentionWorkList::close(Chain& chain) {
    if (chain.num_rows == 0) {
        return;
    }
    chain.num_pieces = std::ssize(pieces) - chain.first_piece;
    if (chain.num_pieces == 0) {
        rows.resize(chain.first_row);
        visible.resize(chain.first_row);
        return;
    }
    // Tiles are whole: slots that count for nobody fill the last one.
    KvPiece filling = pieces.back();
    filling.hi = filling.lo = 0;
    while ((std::ssize(pieces) - chain.first_piece) % tile_pieces_ != 0) {
        pieces.push_back(filling);
    }
    chain.narrow = chain.num_rows * group_ <= shape_.narrow.rows;
    chains_.push_back(chain);
}

void AttentionWorkList::find_shared_rows(std::int64_t num_rows) {
    row_uses_.assign(num_rows, 0);
    for (Chain const& chain : chains_) {
        for (std::int64_t i = 0; i < chain.num_rows; ++i) {
            ++row_uses_[rows[chain.first_row + i]];
        }
    }
    for (Chain& chain : chains_) {
        auto const begin = rows.begin() + chain.first_row;
        chain.shared = std::any_of(begin, begin + chain.num_rows,
                                   [&](std::int32_t row) { return row_uses_[row] > 1; });
    }
}

void AttentionWorkList::list_combine_rows(std::int64_t num_rows) {
    row_combined_.assign(num_rows, 0);
    for (std::int64_t index = 0; index < std::ssize(chains_); ++index) {
        Chain const& chain = chains_[index];
        for (std::int64_t i = 0; i < chain.num_rows; ++i) {
            std::int32_t const row = rows[chain.first_row + i];
            if (chain_split_[index] != 0 || row_uses_[row] > 1) {
                row_combined_[row] = 1;
            }
        }
    }
    std::int64_t first = 0;
    std::vector<std::int32_t> next(num_rows, 0);
    for (std::int64_t row = 0; row < num_rows; ++row) {
        bool const combined = row_combined_[row] != 0;
        next[row] = checked_cast<std::int32_t>(first);
        if (combined || row_uses_[row] == 0) {
            combine_rows.push_back({checked_cast<std::int32_t>(row),
                                    checked_cast<std::int32_t>(first),
                                    combined ? row_uses_[row] : 0});
            first += combined ? row_uses_[row] : 0;
        }
    }
    places.resize(first);
    for (std::int64_t index = 0; index < std::ssize(chains_); ++index) {
        Chain const& chain = chains_[index];
        for (std::int64_t i = 0; i < chain.num_rows; ++i) {
            std::int32_t const row = rows[chain.first_row + i];
            if (row_combined_[row] != 0) {
                RowPlace& place = places[next[row]++];
                place = chain.place;
                place.row = checked_cast<std::int32_t>(i);
            }
        }
    }
}

}  // namespace longhaul::kernels::cuda
