#pragma once

#include "kernels/attention.hpp"
#include "kernels/cuda/attention_schedule.hpp"
#include "kernels/cuda/attention_work.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace longhaul::kernels::cuda {

/// A kernel as the planner sees it.
struct TileShape {
    std::int64_t rows = 64;  ///< packed rows of a tile
    ScheduleShape schedule;
    bool persistent =
        false;  ///< a CTA walks a list of its own; else one CTA a tile, started in order
};

struct WorkListShape {
    KvLayout layout;
    std::int64_t num_heads = 0;
    std::int64_t tile_slots = 64;  ///< of a KV tile
    TileShape wide;
    /// For chains of at most narrow.rows packed rows; rows = 0: there is no such kernel.
    TileShape narrow{.rows = 0, .schedule = {}, .persistent = false};
    bool fixed_splits = false;

    [[nodiscard]] std::int64_t piece_slots() const;
};

/// The tiles of one kernel.
struct TileList {
    std::vector<AttentionTile> tiles;
    std::vector<std::int32_t> cta_tiles;  ///< of a persistent kernel; else empty
};

/// Items cut into what CTAs do, and where rows are put together again. Plain host code.
///
/// Consecutive items of the same rows (document, rest of the history, own chunk of one sequence) become one chain of KV
/// tiles under one running softmax, so that a usual prefill step merges nothing. With fixed splits every item stays alone:
/// a row's bits may then not depend on which other rows its items have.
/// The arrays keep the memory of an earlier build. Costs O(pieces + rows + tiles log tiles).
class AttentionWorkList {
  public:
    explicit AttentionWorkList(WorkListShape const& shape);

    void build(std::int64_t num_rows, std::span<AttentionItem const> items);

    std::vector<KvPiece> pieces;
    std::vector<std::int32_t> rows;
    std::vector<std::int64_t> visible;
    TileList wide;
    TileList narrow;
    std::vector<TileParts> tile_parts;
    std::vector<CombineRow> combine_rows;
    std::vector<RowPlace> places;
    std::int64_t partial_rows = 0;
    std::int64_t num_blocks = 0;  ///< of the pool, as far as the items use it

  private:
    struct Chain {
        std::int64_t first_row = 0;
        std::int64_t num_rows = 0;
        std::int64_t first_piece = 0;
        std::int64_t num_pieces = 0;
        std::int64_t masked_piece = -1;  ///< first one of the item with visible counts, -1: none
        bool masked_sorted = false;      ///< those pieces are the last ones and ascend
        bool shared = false;             ///< some row stands in another chain, too
        bool narrow = false;
        RowPlace place = {};  ///< of row 0
    };
    struct TileJob {
        std::int64_t chain = 0;
        std::int64_t kv_head = 0;
        std::int64_t row_tile = 0;
    };

    void clear();
    void chain_items(std::span<AttentionItem const> items);
    [[nodiscard]] bool continues(Chain const& chain, AttentionItem const& item) const;
    void append_pieces(AttentionItem const& item, Chain& chain);
    void append_block(AttentionItem const& item, std::int64_t block, std::int64_t first_slot);
    void close(Chain& chain);
    void find_shared_rows(std::int64_t num_rows);
    void cut(TileShape const& shape, bool narrow_chains, TileList& list);
    void add_jobs(std::int64_t index, TileShape const& shape);
    [[nodiscard]] std::int64_t kv_tiles(Chain const& chain, std::int64_t max_visible) const;
    void place_parts(std::int64_t job, std::int64_t splits);
    void add_part(std::int64_t job, std::int64_t part, std::int64_t splits, std::int64_t fixed);
    void order_parts(TileShape const& shape, TileList& list);
    void list_combine_rows(std::int64_t num_rows);

    WorkListShape shape_;
    std::int64_t piece_slots_;
    std::int64_t tile_pieces_;
    std::int64_t block_pieces_;
    std::int64_t group_;
    std::vector<Chain> chains_;
    std::vector<std::int32_t> row_uses_;
    std::vector<char> row_combined_;
    std::vector<char> chain_split_;
    std::vector<TileJob> jobs_;
    std::vector<AttentionTile> job_tiles_;
    std::vector<std::int64_t> job_lengths_;
    std::vector<AttentionTile> parts_;
    std::vector<std::int64_t> part_lengths_;
};

}  // namespace longhaul::kernels::cuda
