#include "engine/checkpointer.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "schedule/block_keys.hpp"
#include "kv/block_copy.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

namespace longhaul::engine {
namespace {

using Steady = std::chrono::steady_clock;

/// So many segments that are less than half full are written again as one.
constexpr std::size_t kMaxSmallSegments = 8;

}  // namespace

Checkpointer::Checkpointer(Options options, kv::KvCache& kv, std::unique_ptr<SegmentIndex> index)
    : options_(std::move(options)),
      kv_(kv),
      index_(std::move(index)),
      block_bytes_(kv::canonical_bytes(kv.layout()) * options_.shape.layers.size()) {
    if (options_.save) {
        writer_.emplace([this](WriteTask task) { return write(std::move(task)); });
    }
    if (index_ != nullptr) {
        loader_.emplace([this](LoadTask const& task) { return load(task); });
    }
}

Checkpointer::~Checkpointer() = default;

void Checkpointer::step_done(schedule::StepPlan const& plan,
                             schedule::ChunkScheduler const& scheduler) {
    for (SequenceId const id : plan.retired) {
        keys_.erase(id);
    }
    for (SequenceId const id : plan.loads) {
        begin_load(scheduler.sequence(id), scheduler);
    }
    if (!options_.save) {
        return;
    }
    for (schedule::PlanItem const& item : plan.items) {
        schedule::Sequence const& sequence = scheduler.sequence(item.sequence);
        save_whole_blocks(sequence, scheduler, item.begin, item.end);
        if (options_.keep_documents && !item.decode && item.end == sequence.prompt_length()) {
            keep_document(sequence, scheduler);
        }
    }
    if (plan.epoch) {
        begin_epoch(plan, scheduler);
    }
}

BlockKey Checkpointer::key_of(schedule::Sequence const& sequence, std::int64_t block,
                              std::int64_t slots) {
    std::int64_t const block_slots = kv_.layout().block_slots;
    std::vector<BlockKey>& keys = keys_[sequence.spec.id];
    std::vector<TokenId> entries;
    auto const extend = [&](std::int64_t number, std::int64_t count) {
        entries.clear();
        for (std::int64_t i = 0; i < count; ++i) {
            entries.push_back(sequence.token_at(number * block_slots + i));
        }
        return schedule::next_block_key(
            number > 0 ? keys[static_cast<std::size_t>(number - 1)] : BlockKey{}, entries,
            number * block_slots, sequence.spec.embeddings);
    };
    std::int64_t const whole = slots == block_slots ? block + 1 : block;
    while (static_cast<std::int64_t>(keys.size()) < whole) {
        keys.push_back(extend(static_cast<std::int64_t>(keys.size()), block_slots));
    }
    return slots == block_slots ? keys[static_cast<std::size_t>(block)] : extend(block, slots);
}

void Checkpointer::save_whole_blocks(schedule::Sequence const& sequence,
                                     schedule::ChunkScheduler const& scheduler, std::int64_t begin,
                                     std::int64_t end) {
    std::int64_t const slots = kv_.layout().block_slots;
    schedule::BlockTable const& table = scheduler.kv().table(sequence.spec.id);
    for (std::int64_t block = begin / slots; block < end / slots; ++block) {
        schedule::BlockRef const& place = table.blocks[static_cast<std::size_t>(block)];
        if (place.coordinate == options_.coordinate) {
            save(key_of(sequence, block, slots), block, slots, place.pool_block);
        }
    }
}

// A document's blocks outlive its sequence on the disk: they are saved now, as far as they were not, and count as needed until
// an epoch has named them.
void Checkpointer::keep_document(schedule::Sequence const& sequence,
                                 schedule::ChunkScheduler const& scheduler) {
    std::int64_t const slots = kv_.layout().block_slots;
    save_whole_blocks(sequence, scheduler, 0, sequence.spec.cut);
    schedule::BlockTable const& table = scheduler.kv().table(sequence.spec.id);
    for (std::int64_t block = 0; block < sequence.spec.cut / slots; ++block) {
        if (table.blocks[static_cast<std::size_t>(block)].coordinate == options_.coordinate) {
            documents_.push_back(key_of(sequence, block, slots));
        }
    }
}

// What is not saved yet of a sequence: its open block, and blocks whose segment was given up meanwhile.
void Checkpointer::save_missing(schedule::Sequence const& sequence,
                                schedule::ChunkScheduler const& scheduler) {
    std::int64_t const slots = kv_.layout().block_slots;
    schedule::BlockTable const& table = scheduler.kv().table(sequence.spec.id);
    std::int64_t const filled = sequence.num_planned;
    for (std::int64_t block = 0; block * slots < filled; ++block) {
        schedule::BlockRef const& place = table.blocks[static_cast<std::size_t>(block)];
        if (place.coordinate == options_.coordinate) {
            std::int64_t const here = std::min(slots, filled - block * slots);
            save(key_of(sequence, block, here), block, here, place.pool_block);
        }
    }
}

void Checkpointer::save(BlockKey const& key, std::int64_t block, std::int64_t slots,
                        std::int64_t pool_block) {
    if (saved_.contains(key)) {
        return;
    }
    auto const begin = Steady::now();
    bool waited = false;
    while (copied_bytes_ + block_bytes_ > options_.buffer_bytes && writer_->num_pending() > 0) {
        handle_written(writer_->wait());
        waited = true;
    }
    if (waited) {
        stalled_s_ += std::chrono::duration<double>(Steady::now() - begin).count();
    }
    if (open_.empty()) {
        open_segment_ = static_cast<std::int32_t>(segments_.size());
        segments_.push_back(
            {{options_.segment_name(next_name_++), 0, 0, 0}, 0, false, true, false});
    }
    Copy copy;
    if (!spare_.empty()) {
        copy = std::move(spare_.back());
        spare_.pop_back();
    }
    copy.block = {key, block, static_cast<std::int32_t>(slots)};
    if (copy.data.bytes() == 0) {
        copy.data = device::PinnedBuffer(kv_.gpu(), block_bytes_);
    }
    kv_.save_block(pool_block, slots, copy.data.span());
    open_.push_back(std::move(copy));
    copied_bytes_ += block_bytes_;
    saved_[key] = {open_segment_};
    // Half of the buffer is written while the other half fills.
    if (static_cast<std::int64_t>(open_.size()) * block_bytes_ >= options_.buffer_bytes / 2) {
        close_segment();
    }
}

void Checkpointer::close_segment() {
    if (open_.empty()) {
        return;
    }
    std::string const& name = segments_[static_cast<std::size_t>(open_segment_)].info.name;
    writer_->submit({open_segment_, name, std::exchange(open_, {})});
}

void Checkpointer::begin_epoch(schedule::StepPlan const& plan,
                               schedule::ChunkScheduler const& scheduler) {
    while (std::optional<WriteDone> done = writer_->poll()) {
        handle_written(std::move(*done));
    }
    handle_loaded();
    mark_live(scheduler);
    make_segments_fewer();
    for (auto const& [id, sequence] : scheduler.running()) {
        save_missing(sequence, scheduler);
    }
    close_segment();
    mark_live(scheduler);
    older_documents_ = std::exchange(documents_, {});
    drop_dead_segments();
    Epoch& epoch = epochs_.emplace_back();
    epoch.step = plan.step;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        Segment& segment = segments_[i];
        if (segment.live_blocks > 0) {
            epoch.segments.push_back(static_cast<std::int32_t>(i));
        } else if (segment.own && !segment.dropped) {
            segment.dropped = true;
            epoch.dropped.push_back(static_cast<std::int32_t>(i));
        }
    }
}

// Counts, per segment, the blocks that running sequences stand on.
void Checkpointer::mark_live(schedule::ChunkScheduler const& scheduler) {
    std::int64_t const slots = kv_.layout().block_slots;
    for (Segment& segment : segments_) {
        segment.live_blocks = 0;
    }
    for (auto const& [id, sequence] : scheduler.running()) {
        schedule::BlockTable const& table = scheduler.kv().table(id);
        std::int64_t const filled = sequence.num_planned;
        for (std::int64_t block = 0; block * slots < filled; ++block) {
            if (table.blocks[static_cast<std::size_t>(block)].coordinate != options_.coordinate) {
                continue;
            }
            count_live(key_of(sequence, block, std::min(slots, filled - block * slots)));
        }
    }
    for (std::vector<BlockKey> const* const keys : {&documents_, &older_documents_}) {
        for (BlockKey const& key : *keys) {
            count_live(key);
        }
    }
}

void Checkpointer::count_live(BlockKey const& key) {
    auto const found = saved_.find(key);
    if (found == saved_.end()) {
        return;
    }
    for (std::int32_t const segment : found->second) {
        ++segments_[static_cast<std::size_t>(segment)].live_blocks;
    }
}

// Every epoch leaves a segment, and most of what it holds may be superseded. When many are nearly empty they are given up:
// their blocks, all of them still in the cache, are saved once more into new ones.
void Checkpointer::make_segments_fewer() {
    std::set<std::int32_t> small;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        std::int64_t const live = segments_[i].live_blocks;
        if (live > 0 && live * block_bytes_ < options_.buffer_bytes / 4) {
            small.insert(static_cast<std::int32_t>(i));
        }
    }
    if (small.size() < kMaxSmallSegments) {
        return;
    }
    std::erase_if(saved_, [&](auto const& entry) {
        return std::any_of(entry.second.begin(), entry.second.end(),
                           [&](std::int32_t segment) { return small.contains(segment); });
    });
}

// Blocks in segments that no later manifest will name are not saved any more.
void Checkpointer::drop_dead_segments() {
    std::erase_if(saved_, [this](auto const& entry) {
        return std::any_of(entry.second.begin(), entry.second.end(), [this](std::int32_t segment) {
            return segments_[static_cast<std::size_t>(segment)].live_blocks == 0;
        });
    });
}

void Checkpointer::handle_written(WriteDone done) {
    copied_bytes_ -= static_cast<std::int64_t>(done.copies.size()) * block_bytes_;
    bytes_written_ += done.bytes;
    for (Copy& copy : done.copies) {
        spare_.push_back(std::move(copy));
    }
    Segment& segment = segments_[static_cast<std::size_t>(done.segment)];
    segment.written = true;
    if (done.failure.empty()) {
        segment.info = done.info;
        return;
    }
    std::erase_if(saved_, [&](auto const& entry) {
        return std::find(entry.second.begin(), entry.second.end(), done.segment) !=
               entry.second.end();
    });
    for (Epoch& epoch : epochs_) {
        bool const needed = std::find(epoch.segments.begin(), epoch.segments.end(), done.segment) !=
                            epoch.segments.end();
        if (needed && epoch.failure.empty()) {
            epoch.failure = done.failure;
        }
    }
}

std::optional<EpochReport> Checkpointer::poll_epoch() {
    while (std::optional<WriteDone> done = writer_ ? writer_->poll() : std::nullopt) {
        handle_written(std::move(*done));
    }
    if (epochs_.empty()) {
        return std::nullopt;
    }
    Epoch const& epoch = epochs_.front();
    EpochReport report{epoch.step, epoch.failure, {}, {}, bytes_written_, stalled_s_};
    for (std::int32_t const number : epoch.segments) {
        Segment const& segment = segments_[static_cast<std::size_t>(number)];
        if (!segment.written) {
            return std::nullopt;
        }
        report.segments.push_back(segment.info);
    }
    for (std::int32_t const number : epoch.dropped) {
        Segment const& segment = segments_[static_cast<std::size_t>(number)];
        if (!segment.written) {
            return std::nullopt;
        }
        report.dropped.push_back(segment.info.name);
    }
    epochs_.pop_front();
    return report;
}

}  // namespace longhaul::engine
