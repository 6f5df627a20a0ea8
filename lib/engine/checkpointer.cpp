#include "engine/checkpointer.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "schedule/block_keys.hpp"
#include "kv/block_copy.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace longhaul::engine {
namespace {

using Steady = std::chrono::steady_clock;

/// Documents of so many blocks have segments of their own.
constexpr std::int64_t kMinOwnBlocks = 32;

/// Segments of earlier runs with less in them that is needed are rather written anew than named.
constexpr std::int64_t kSmallSegment = std::int64_t{64} << 20;

}  // namespace

Checkpointer::Checkpointer(Options options, kv::KvCache& kv, std::unique_ptr<SegmentIndex> index)
    : options_(std::move(options)),
      kv_(kv),
      index_(std::move(index)),
      block_bytes_(kv::canonical_bytes(kv.layout()) * options_.shape.layers.size()) {
    if (options_.save) {
        writer_.emplace([this](WriteTask task) { return write(std::move(task)); });
        compactor_.emplace(options_.folder, options_.shape, ledger_,
                           [this] { return options_.segment_name(next_name_++); });
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
            save(sequence, block, slots, place.pool_block);
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
            save(sequence, block, here, place.pool_block);
        }
    }
}

// A store entry links whole segments: those of a long document hold nothing else. Its name is its content, so all sequences
// that share it save into one group, whatever part each of them comes to save.
BlockKey Checkpointer::group_of(schedule::Sequence const& sequence, std::int64_t block) const {
    std::int64_t const blocks = sequence.spec.cut / kv_.layout().block_slots;
    if (blocks < kMinOwnBlocks || block >= blocks) {
        return SegmentLedger::kCommon;
    }
    LH_EXPECT(!sequence.spec.prefix_keys.empty());
    return sequence.spec.prefix_keys.back();
}

void Checkpointer::save(schedule::Sequence const& sequence, std::int64_t block, std::int64_t slots,
                        std::int64_t pool_block) {
    BlockKey const key = key_of(sequence, block, slots);
    if (ledger_.holds(key)) {
        return;
    }
    wait_for_buffer();
    BlockKey const group = group_of(sequence, block);
    OpenSegment& open = open_[group];
    if (open.copies.empty()) {
        open.number = ledger_.open(options_.segment_name(next_name_++), group);
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
    kv_.begin_save(pool_block, slots, copy.data.span());
    open.copies.push_back(std::move(copy));
    ++open_blocks_;
    copied_bytes_ += block_bytes_;
    ledger_.put(key, {open.number});
    // Half of the buffer is written while the other half fills.
    if (open_blocks_ * block_bytes_ >= options_.buffer_bytes / 2) {
        close_largest();
    }
}

void Checkpointer::wait_for_buffer() {
    auto const begin = Steady::now();
    bool waited = false;
    while (copied_bytes_ + block_bytes_ > options_.buffer_bytes && writer_->num_pending() > 0) {
        handle_written(writer_->wait());
        waited = true;
    }
    if (waited) {
        stalled_s_ += std::chrono::duration<double>(Steady::now() - begin).count();
    }
}

void Checkpointer::close_largest() {
    auto const largest =
        std::max_element(open_.begin(), open_.end(), [](auto const& a, auto const& b) {
            return a.second.copies.size() < b.second.copies.size();
        });
    submit(largest->second);
    open_.erase(largest);
}

void Checkpointer::submit(OpenSegment& open) {
    open_blocks_ -= static_cast<std::int64_t>(open.copies.size());
    WriteTask task{open.number, ledger_.name(open.number), std::move(open.copies), nullptr};
    if (kv_.gpu() != nullptr) {
        task.copied = std::make_unique<device::Event>();
        task.copied->record(kv_.gpu()->stream());
    }
    writer_->submit(std::move(task));
}

void Checkpointer::begin_epoch(schedule::StepPlan const& plan,
                               schedule::ChunkScheduler const& scheduler) {
    handle_all_written();
    handle_loaded();
    compactor_->epoch_begun();
    if (plan.last) {
        compactor_->stop();
    }
    count_needed(scheduler);
    ledger_.give_up_small_old(
        ceil_div(std::min(options_.buffer_bytes / 4, kSmallSegment), block_bytes_));
    for (auto const& [id, sequence] : scheduler.running()) {
        save_missing(sequence, scheduler);
    }
    for (auto& [group, open] : open_) {
        submit(open);
    }
    open_.clear();
    count_needed(scheduler);
    older_documents_ = std::exchange(documents_, {});
    ledger_.begin_epoch(plan.step);
}

// The blocks that running sequences and documents for the store stand on.
void Checkpointer::count_needed(schedule::ChunkScheduler const& scheduler) {
    std::int64_t const slots = kv_.layout().block_slots;
    ledger_.count_anew();
    for (auto const& [id, sequence] : scheduler.running()) {
        schedule::BlockTable const& table = scheduler.kv().table(id);
        std::int64_t const filled = sequence.num_planned;
        for (std::int64_t block = 0; block * slots < filled; ++block) {
            if (table.blocks[static_cast<std::size_t>(block)].coordinate == options_.coordinate) {
                ledger_.need(key_of(sequence, block, std::min(slots, filled - block * slots)));
            }
        }
    }
    for (std::vector<BlockKey> const* const keys : {&documents_, &older_documents_}) {
        for (BlockKey const& key : *keys) {
            ledger_.need(key);
        }
    }
}

void Checkpointer::handle_written(WriteDone done) {
    copied_bytes_ -= static_cast<std::int64_t>(done.copies.size()) * block_bytes_;
    bytes_written_ += done.bytes;
    for (Copy& copy : done.copies) {
        spare_.push_back(std::move(copy));
    }
    if (done.failure.empty()) {
        ledger_.written(done.segment, done.info);
    } else {
        ledger_.failed(done.segment, done.failure);
    }
}

void Checkpointer::handle_all_written() {
    while (std::optional<WriteDone> done = writer_ ? writer_->poll() : std::nullopt) {
        handle_written(std::move(*done));
    }
}

std::optional<EpochReport> Checkpointer::poll_epoch() {
    if (!writer_) {
        return std::nullopt;
    }
    handle_all_written();
    // The disk belongs first to what is to be saved, which a step may wait for; but an epoch names few segments.
    compactor_->advance(writer_->num_pending() == 0 || ledger_.epoch_pending());
    std::optional<EpochReport> report = ledger_.take_epoch(compactor_->busy());
    if (report) {
        report->bytes = bytes_written();
        report->stalled_s = stalled_s_;
    }
    return report;
}

void Checkpointer::close() {
    if (compactor_) {
        compactor_->stop();
    }
    handle_all_written();
    bytes_merged_ = bytes_written() - bytes_written_;
    loader_.reset();
    compactor_.reset();
    writer_.reset();
}

std::int64_t Checkpointer::bytes_written() const {
    return bytes_written_ + (compactor_ ? compactor_->bytes_written() : bytes_merged_);
}

}  // namespace longhaul::engine
