#pragma once

#include "base/block_key.hpp"
#include "device/buffer.hpp"
#include "device/gpu.hpp"
#include "io/kv_segment.hpp"
#include "schedule/chunk_scheduler.hpp"
#include "schedule/step_plan.hpp"
#include "kv/kv_cache.hpp"
#include "engine/checkpoint_reports.hpp"
#include "engine/segment_compactor.hpp"
#include "engine/segment_index.hpp"
#include "engine/segment_ledger.hpp"
#include "engine/worker_thread.hpp"

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace longhaul::engine {

/// Saves this rank's part of the KV cache and loads it again: its layers, its KV heads, the blocks of its KVP coordinate.
///
/// Blocks are known on disk by their keys (schedule/block_keys.hpp), so nothing that is saved depends on the grid, and a
/// block that several sequences share is saved once. Whole blocks are copied out as they fill; at an epoch the open ones
/// follow and what else is missing. A thread writes what was copied into segments, another one makes few segments of many
/// (segment_ledger.hpp says which), a third one loads; the step loop waits only while the buffer for copies is full
/// (`stalled_s`).
class Checkpointer {
  public:
    struct Options {
        std::filesystem::path folder;  ///< of segments
        io::KvSegmentShape shape;      ///< what this rank holds
        std::int64_t coordinate = 0;   ///< KVP coordinate
        bool save = true;              ///< false: only loads
        bool keep_documents =
            false;  ///< what documents left stays named until the next epoch (KV store)
        std::int64_t buffer_bytes = std::int64_t{512} << 20;
        std::function<std::string(std::int64_t number)> segment_name;
    };

    Checkpointer(Options options, kv::KvCache& kv, std::unique_ptr<SegmentIndex> index);
    ~Checkpointer();
    Checkpointer(Checkpointer const&) = delete;
    Checkpointer& operator=(Checkpointer const&) = delete;

    /// A step was done on this rank and `scheduler` is as it was when the step was planned.
    void step_done(schedule::StepPlan const& plan, schedule::ChunkScheduler const& scheduler);

    /// Reports that have become due, oldest first; never waits.
    [[nodiscard]] std::optional<EpochReport> poll_epoch();
    [[nodiscard]] std::optional<LoadReport> poll_load();

    /// Whether an epoch was begun whose report has not been taken.
    [[nodiscard]] bool epoch_pending() const { return ledger_.epoch_pending(); }

    /// Ends the threads: what is being written or read is ended, merging is broken off, the rest is dropped. Only the figures
    /// below may be asked for afterwards.
    void close();

    [[nodiscard]] double stalled_s() const { return stalled_s_; }
    /// Merging included.
    [[nodiscard]] std::int64_t bytes_written() const;

  private:
    struct Copy {
        io::KvSegmentBlock block;
        device::PinnedBuffer data;
    };
    struct WriteTask {
        SegmentLedger::Number segment = 0;
        std::string name;
        std::vector<Copy> copies;
        std::unique_ptr<device::Event> copied;  // of a GPU, which may still be filling them
    };
    struct WriteDone {
        SegmentLedger::Number segment = 0;
        io::KvSegmentInfo info;
        std::string failure;
        std::int64_t bytes = 0;
        std::vector<Copy> copies;  // buffers to use again
    };
    struct LoadBlock {
        BlockKey key;
        std::int64_t first_entry = 0;
        std::int64_t pool_block = 0;
    };
    struct LoadTask {
        SequenceId sequence = -1;
        std::int64_t entries = 0;  // wanted
        std::vector<LoadBlock> blocks;
        std::unique_ptr<device::Event> ready;  // of a GPU: what was queued for the blocks before
    };
    struct LoadDone {
        LoadReport report;
        std::string problem;
        std::vector<BlockKey> loaded;
        std::vector<io::KvSegmentInfo> sources;
        std::vector<std::size_t> num_sources;  // of the blocks up to and including each one
    };
    struct OpenSegment {
        SegmentLedger::Number number = -1;
        std::vector<Copy> copies;
    };

    void begin_epoch(schedule::StepPlan const& plan, schedule::ChunkScheduler const& scheduler);
    void begin_load(schedule::Sequence const& sequence, schedule::ChunkScheduler const& scheduler);
    void save_whole_blocks(schedule::Sequence const& sequence,
                           schedule::ChunkScheduler const& scheduler, std::int64_t begin,
                           std::int64_t end);
    void keep_document(schedule::Sequence const& sequence,
                       schedule::ChunkScheduler const& scheduler);
    void save_missing(schedule::Sequence const& sequence,
                      schedule::ChunkScheduler const& scheduler);
    void count_needed(schedule::ChunkScheduler const& scheduler);
    void save(schedule::Sequence const& sequence, std::int64_t block, std::int64_t slots,
              std::int64_t pool_block);
    void wait_for_buffer();
    void close_largest();
    void submit(OpenSegment& open);
    void handle_written(WriteDone done);
    void handle_all_written();
    void handle_loaded();
    [[nodiscard]] BlockKey group_of(schedule::Sequence const& sequence, std::int64_t block) const;
    [[nodiscard]] BlockKey key_of(schedule::Sequence const& sequence, std::int64_t block,
                                  std::int64_t slots);
    [[nodiscard]] WriteDone write(WriteTask task) const;
    [[nodiscard]] LoadDone load(LoadTask const& task);

    Options options_;
    kv::KvCache& kv_;
    std::unique_ptr<SegmentIndex> index_;  // used by the loader's thread alone once that exists
    std::int64_t block_bytes_;             // of a copy

    std::map<SequenceId, std::vector<BlockKey>>
        keys_;  // of whole blocks, as far as they were asked for
    SegmentLedger ledger_;
    std::vector<BlockKey> documents_;  // of documents prefilled since the last epoch
    std::vector<BlockKey>
        older_documents_;  // and since the one before: their outcome may have come late
    std::unordered_map<BlockKey, OpenSegment, BlockKeyHash> open_;  // being filled, by group
    std::int64_t open_blocks_ = 0;
    std::int64_t copied_bytes_ = 0;  // in open_ and in tasks that are not done
    std::vector<Copy> spare_;        // buffers to use again
    std::int64_t next_name_ = 0;
    std::deque<LoadReport> loaded_;

    double stalled_s_ = 0.0;
    std::int64_t bytes_written_ = 0;  // without merging
    std::int64_t bytes_merged_ = 0;   // once the compactor is gone

    // Of the loader's thread, from its first task on.
    std::optional<device::Stream> load_stream_;
    device::PinnedBuffer load_buffer_;

    // Last: their threads use the members above.
    std::optional<WorkerThread<WriteTask, WriteDone>> writer_;
    std::optional<SegmentCompactor> compactor_;
    std::optional<WorkerThread<LoadTask, LoadDone>> loader_;
};

}  // namespace longhaul::engine
