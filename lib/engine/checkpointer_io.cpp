#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "io/checkpoint_load.hpp"
#include "io/kv_segment_writer.hpp"
#include "io/output_dir_files.hpp"
#include "kv/block_copy.hpp"
#include "engine/checkpointer.hpp"

#include <algorithm>
#include <utility>

namespace longhaul::engine {

// Runs in the writer's thread.
Checkpointer::WriteDone Checkpointer::write(WriteTask task) const {
    WriteDone done;
    done.segment = task.segment;
    if (task.copied) {
        kv_.gpu()->select();
        task.copied->wait();
    }
    std::vector<io::KvSegmentBlock> blocks;
    for (Copy const& copy : task.copies) {
        kv_.end_save(copy.block.slots, copy.data.span());
        blocks.push_back(copy.block);
    }
    std::vector<std::span<std::byte const>> data;
    for (Copy const& copy : task.copies) {
        data.emplace_back(copy.data.span());
    }
    std::filesystem::path const path = options_.folder / task.name;
    auto const bytes = static_cast<std::int64_t>(data.size()) * block_bytes_;
    try {
        // Asked first: a disk that is nearly full is not filled to its last byte.
        if (std::optional<std::string> const warning =
                io::warn_if_no_room(options_.folder, bytes)) {
            done.failure = *warning;
        } else {
            done.info = io::write_kv_segment(path, options_.shape, std::move(blocks), data);
            done.bytes = done.info.bytes;
        }
    } catch (io::IoError const& error) {
        done.failure = error.what();
    }
    done.copies = std::move(task.copies);
    return done;
}

void Checkpointer::begin_load(schedule::Sequence const& sequence,
                              schedule::ChunkScheduler const& scheduler) {
    std::int64_t const slots = kv_.layout().block_slots;
    LoadTask task{sequence.spec.id, sequence.spec.load_entries, {}, nullptr};
    schedule::BlockTable const& table = scheduler.kv().table(sequence.spec.id);
    // What another sequence has or loads is not loaded twice; the scheduler waits for it.
    for (std::int64_t block = sequence.taken_over / slots; block * slots < task.entries; ++block) {
        schedule::BlockRef const& place = table.blocks[static_cast<std::size_t>(block)];
        if (place.coordinate == options_.coordinate) {
            std::int64_t const here = std::min(slots, task.entries - block * slots);
            task.blocks.push_back({key_of(sequence, block, here), block * slots, place.pool_block});
        }
    }
    if (loader_) {
        if (kv_.gpu() != nullptr) {
            // A block of a failed sequence may be waiting to be scrubbed. Not waited for by the host: the loader must not touch
            // the engine's stream, which may be recording a graph.
            task.ready = std::make_unique<device::Event>();
            task.ready->record(kv_.gpu()->stream());
        }
        loader_->submit(std::move(task));
        return;
    }
    std::int64_t const none = task.blocks.empty() ? task.entries : task.blocks.front().first_entry;
    loaded_.push_back({task.sequence, none});
}

// Runs in the loader's thread. The blocks belong to a sequence that is in no plan before its report was answered.
Checkpointer::LoadDone Checkpointer::load(LoadTask const& task) {
    LoadDone done;
    done.report = {task.sequence, task.entries};
    if (load_buffer_.bytes() == 0) {
        if (kv_.gpu() != nullptr) {
            kv_.gpu()->select();
            load_stream_.emplace();
        }
        load_buffer_ = device::PinnedBuffer(kv_.gpu(), block_bytes_);
    }
    if (task.ready) {
        task.ready->hold_back(load_stream_->view());
    }
    std::span<std::byte> const canonical = load_buffer_.span();
    for (LoadBlock const& block : task.blocks) {
        done.problem = index_->read(block.key, canonical);
        if (!done.problem.empty()) {
            done.report.entries = block.first_entry;
            break;
        }
        kv_.load_block(block.pool_block, canonical,
                       load_stream_ ? load_stream_->view() : StreamView{});
        if (load_stream_) {
            load_stream_->synchronize();
        }
        done.loaded.push_back(block.key);
        for (io::KvSegmentInfo const& source : index_->sources(block.key)) {
            done.sources.push_back(source);
        }
        done.num_sources.push_back(done.sources.size());
    }
    return done;
}

// What was loaded need not be saved again while its old segments are named.
void Checkpointer::handle_loaded() {
    while (std::optional<LoadDone> done = loader_ ? loader_->poll() : std::nullopt) {
        if (!done->problem.empty()) {
            log::warn("{}: entries from {} on are computed again", done->problem,
                      done->report.entries);
        }
        std::size_t source = 0;
        for (std::size_t block = 0; block < done->loaded.size(); ++block) {
            std::vector<SegmentLedger::Number> places;
            for (; source < done->num_sources[block]; ++source) {
                places.push_back(ledger_.old(done->sources[source]));
            }
            // What this run has saved itself stays where it is: a merge under way may count on it.
            if (!places.empty() && !ledger_.holds(done->loaded[block])) {
                ledger_.put(done->loaded[block], std::move(places));
            }
        }
        loaded_.push_back(done->report);
    }
}

std::optional<LoadReport> Checkpointer::poll_load() {
    handle_loaded();
    if (loaded_.empty()) {
        return std::nullopt;
    }
    LoadReport const report = loaded_.front();
    loaded_.pop_front();
    return report;
}

}  // namespace longhaul::engine
