#include "engine/segment_source.hpp"

#include "base/checked.hpp"
#include "device/buffer.hpp"
#include "kernels/embedding.hpp"
#include "engine/step_parts.hpp"

#include <algorithm>
#include <memory>
#include <span>

namespace longhaul::engine {
namespace {

constexpr std::int64_t kTileRows = EmbeddingReader::kTileRows;

// Part of the rank's fixed reserve of memory.
constexpr std::int64_t kCacheBytes = std::int64_t{32} << 20;

Range overlap(Range a, Range b) { return {std::max(a.begin, b.begin), std::min(a.end, b.end)}; }

}  // namespace

void SegmentSource::embed(schedule::StepPlan const& plan, schedule::ChunkScheduler const& scheduler,
                          StepBatch const& batch, BatchArrays const& arrays, float* hidden) {
    model::WeightShard const& weights = context_.weights;
    std::int64_t const width = weights.config.hidden_dim;
    // Outside every slice of the vocabulary: the rows of embedding entries come out as zeros.
    kernels::embedding(context_.exec, arrays.tokens, weights.embedding.data(), weights.dtype,
                       weights.partition.vocab, width, hidden);
    for (std::size_t i = 0; i < plan.items.size(); ++i) {
        schedule::PlanItem const& item = plan.items[i];
        for (schedule::EmbeddingSpan const& span :
             scheduler.sequence(item.sequence).spec.embeddings) {
            Range const entries = overlap({item.begin, item.end}, span.range());
            if (!entries.empty()) {
                std::int64_t const row = batch.item_rows[i].begin + entries.begin - item.begin;
                copy_rows(span, entries, hidden + row * width);
                read_ahead(span, entries.end, scheduler.options().chunk);
            }
        }
    }
    if (context_.grid.linear().size() > 1) {
        std::span const rows(hidden, static_cast<std::size_t>(batch.num_rows * width));
        timed(context_, StepPart::messages,
              [&] { context_.grid.linear().all_reduce_sum(rows, context_.stream()); });
    }
}

void SegmentSource::copy_rows(schedule::EmbeddingSpan const& span, Range entries, float* out) {
    std::int64_t const width = context_.weights.config.hidden_dim;
    std::int64_t const shift = span.first_row - span.begin;  // from index to row of the file
    Range const rows{entries.begin + shift, entries.end + shift};
    for (std::int64_t tile = rows.begin / kTileRows; tile * kTileRows < rows.end; ++tile) {
        if (!is_mine(tile)) {
            continue;
        }
        std::shared_ptr<EmbeddingReader::Tile const> const data = reader().get(span, tile);
        std::int64_t const first = tile * kTileRows;
        Range const part = overlap(rows, {first, first + kTileRows});
        device::upload(context_.gpu(), out + (part.begin - rows.begin) * width,
                       data->data() + (part.begin - first) * width,
                       part.size() * width * dtype_bytes(DType::f32));
    }
}

void SegmentSource::read_ahead(schedule::EmbeddingSpan const& span, std::int64_t next,
                               std::int64_t rows) {
    std::int64_t const shift = span.first_row - span.begin;
    std::int64_t const end = std::min(next + rows, span.range().end) + shift;
    // Never more than half the cache, which holds the tiles in use too.
    std::int64_t const most =
        kCacheBytes / 2 /
        (kTileRows * context_.weights.config.hidden_dim * dtype_bytes(DType::f32));
    std::int64_t wanted = 0;
    for (std::int64_t tile = (next + shift) / kTileRows; tile * kTileRows < end; ++tile) {
        if (is_mine(tile) && wanted++ < most) {
            reader().read_ahead(span, tile);
        }
    }
}

bool SegmentSource::is_mine(std::int64_t tile) {
    return tile % context_.grid.linear().size() == context_.grid.linear().rank();
}

EmbeddingReader& SegmentSource::reader() {
    if (!reader_) {
        std::int64_t const width = context_.weights.config.hidden_dim;
        reader_.emplace(width, kCacheBytes / (kTileRows * width * dtype_bytes(DType::f32)));
    }
    return *reader_;
}

}  // namespace longhaul::engine
