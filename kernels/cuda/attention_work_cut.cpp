// Chains of items cut into tiles and parts, and these dealt out to CTAs.
#include "base/checked.hpp"
#include "kernels/cuda/attention_work_list.hpp"

#include <algorithm>
#include <iterator>

namespace longhaul::kernels::cuda {

void AttentionWorkList::cut(TileShape const& shape, bool narrow_chains, TileList& list) {
    jobs_.clear();
    job_tiles_.clear();
    job_lengths_.clear();
    parts_.clear();
    part_lengths_.clear();
    for (std::int64_t index = 0; index < std::ssize(chains_); ++index) {
        if (chains_[index].narrow == narrow_chains) {
            add_jobs(index, shape);
        }
    }
    std::vector<std::int32_t> const splits = choose_splits(job_lengths_, shape.schedule);
    // Parts of equal place lie together over all row tiles of a chain and head.
    for (std::int64_t begin = 0; begin < std::ssize(jobs_);) {
        std::int64_t end = begin;
        std::int64_t most = 0;
        while (end < std::ssize(jobs_) && jobs_[end].chain == jobs_[begin].chain &&
               jobs_[end].kv_head == jobs_[begin].kv_head) {
            place_parts(end, splits[end]);
            most = std::max<std::int64_t>(most, splits[end]);
            ++end;
        }
        for (std::int64_t part = 0; part < most; ++part) {
            for (std::int64_t job = begin; job < end; ++job) {
                if (part < splits[job]) {
                    add_part(job, part, splits[job], shape.schedule.fixed_part);
                }
            }
        }
        begin = end;
    }
    order_parts(shape, list);
}

void AttentionWorkList::add_jobs(std::int64_t index, TileShape const& shape) {
    Chain& chain = chains_[index];
    std::int64_t const packed = chain.num_rows * group_;
    std::int64_t const row_tiles = ceil_div(packed, shape.rows);
    chain.place = {checked_cast<std::int32_t>(std::ssize(tile_parts)),
                   checked_cast<std::int32_t>(row_tiles), checked_cast<std::int32_t>(shape.rows),
                   0};
    tile_parts.resize(tile_parts.size() + row_tiles * shape_.layout.num_kv_heads);
    std::int64_t const first_job = std::ssize(jobs_);
    for (std::int64_t row_tile = 0; row_tile < row_tiles; ++row_tile) {
        AttentionTile tile;
        tile.first_piece = chain.first_piece;
        tile.first_row = checked_cast<std::int32_t>(chain.first_row);
        tile.packed_begin = checked_cast<std::int32_t>(row_tile * shape.rows);
        tile.packed_rows =
            checked_cast<std::int32_t>(std::min(shape.rows, packed - tile.packed_begin));
        std::int64_t max_visible = kSeesAll;
        if (chain.masked_piece >= 0) {
            auto const seen = visible.begin() + chain.first_row;
            auto const [least, most] =
                std::minmax_element(seen + tile.packed_begin / group_,
                                    seen + (tile.packed_begin + tile.packed_rows - 1) / group_ + 1);
            tile.min_visible = *least;
            max_visible = *most;
        }
        tile.num_kv_tiles = checked_cast<std::int32_t>(kv_tiles(chain, max_visible));
        jobs_.push_back({index, 0, row_tile});
        job_tiles_.push_back(tile);
        job_lengths_.push_back(tile.num_kv_tiles);
    }
    for (std::int64_t head = 1; head < shape_.layout.num_kv_heads; ++head) {
        for (std::int64_t row_tile = 0; row_tile < row_tiles; ++row_tile) {
            jobs_.push_back({index, head, row_tile});
            job_tiles_.push_back(job_tiles_[first_job + row_tile]);
            job_tiles_.back().kv_head = checked_cast<std::int32_t>(head);
            job_lengths_.push_back(job_lengths_[first_job + row_tile]);
        }
    }
}

std::int64_t AttentionWorkList::kv_tiles(Chain const& chain, std::int64_t max_visible) const {
    std::int64_t seen = chain.num_pieces;
    if (chain.masked_piece >= 0 && chain.masked_sorted) {
        auto const begin = pieces.begin() + chain.masked_piece;
        auto const end = pieces.begin() + chain.first_piece + chain.num_pieces;
        auto const hidden = std::lower_bound(
            begin, end, max_visible,
            [](KvPiece const& piece, std::int64_t slot) { return piece.first_slot < slot; });
        seen = hidden - (pieces.begin() + chain.first_piece);
    }
    // A tile that sees nothing has one KV tile that hides everything: its rows are written all the same.
    return std::max<std::int64_t>(1, ceil_div(seen, tile_pieces_));
}

void AttentionWorkList::place_parts(std::int64_t job, std::int64_t splits) {
    TileJob const& at = jobs_[job];
    RowPlace const& chain = chains_[at.chain].place;
    TileParts& parts = tile_parts[chain.first_tile + at.kv_head * chain.row_tiles + at.row_tile];
    parts.packed_rows = job_tiles_[job].packed_rows;
    job_tiles_[job].partial = -1;
    if (splits > 1 || chains_[at.chain].shared) {
        parts.base = partial_rows;
        parts.splits = checked_cast<std::int32_t>(splits);
        job_tiles_[job].partial = partial_rows;
        partial_rows += splits * parts.packed_rows;
        chain_split_[at.chain] = 1;
    }
}

void AttentionWorkList::add_part(std::int64_t job, std::int64_t part, std::int64_t splits,
                                 std::int64_t fixed) {
    std::int64_t const length = job_lengths_[job];
    std::int64_t const begin = fixed > 0 ? part * fixed : length * part / splits;
    std::int64_t const end =
        fixed > 0 ? std::min(length, begin + fixed) : length * (part + 1) / splits;
    AttentionTile tile = job_tiles_[job];
    tile.first_piece += begin * tile_pieces_;
    tile.num_kv_tiles = checked_cast<std::int32_t>(end - begin);
    if (tile.partial >= 0) {
        tile.partial += part * tile.packed_rows;
    }
    parts_.push_back(tile);
    part_lengths_.push_back(end - begin);
}

void AttentionWorkList::order_parts(TileShape const& shape, TileList& list) {
    std::vector<std::int32_t> const order = longest_first(part_lengths_);
    std::int64_t const count = std::ssize(parts_);
    list.tiles.resize(count);
    list.cta_tiles.clear();
    if (!shape.persistent) {
        for (std::int64_t i = 0; i < count; ++i) {
            list.tiles[i] = parts_[order[i]];
        }
        return;
    }
    std::int64_t const num_ctas = std::min(count, shape.schedule.num_ctas);
    std::vector<std::int32_t> const owner = deal_out(part_lengths_, order, num_ctas);
    list.cta_tiles.assign(num_ctas + 1, 0);
    for (std::int32_t const cta : owner) {
        ++list.cta_tiles[cta + 1];
    }
    for (std::int64_t cta = 0; cta < num_ctas; ++cta) {
        list.cta_tiles[cta + 1] += list.cta_tiles[cta];
    }
    std::vector<std::int32_t> next(list.cta_tiles.begin(), list.cta_tiles.end() - 1);
    for (std::int32_t const part : order) {
        list.tiles[next[owner[part]]++] = parts_[part];
    }
}

}  // namespace longhaul::kernels::cuda
