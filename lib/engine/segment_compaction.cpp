#include "engine/segment_compaction.hpp"

#include "base/error.hpp"
#include "io/checkpoint_load.hpp"
#include "io/kv_segment_reader.hpp"
#include "io/kv_segment_writer.hpp"
#include "io/output_dir_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <unordered_set>

namespace longhaul::engine {
namespace {

/// Batches between two waits for the disk: or else a large segment would wait for all of its bytes at its end, and a run that
/// is stopped then for the segment.
constexpr std::int64_t kSyncBatches = 8;

struct Row {
    std::size_t source = 0;
    std::int64_t row = 0;
    io::KvSegmentBlock block;
};

class Compaction {
  public:
    Compaction(std::filesystem::path const& folder, io::KvSegmentShape const& shape,
               CompactTask const& task)
        : folder_(folder), shape_(shape), task_(task) {}

    CompactDone run(std::atomic<bool> const& stop) {
        if (open_sources() && choose_rows() && has_room()) {
            copy(stop);
        }
        return std::move(done_);
    }

  private:
    bool fail(std::string why, std::optional<std::size_t> damaged = std::nullopt) {
        done_.failure = std::move(why);
        done_.damaged = damaged;
        return false;
    }

    [[nodiscard]] std::filesystem::path path(std::size_t source) const {
        return folder_ / task_.sources[source].name;
    }

    bool open_sources() {
        for (std::size_t i = 0; i < task_.sources.size(); ++i) {
            io::KvSegmentInfo const& said = task_.sources[i];
            try {
                auto reader = std::make_unique<io::KvSegmentReader>(path(i));
                io::KvSegmentInfo const& is = reader->info();
                if (reader->shape() != shape_ || is.bytes != said.bytes ||
                    is.blocks != said.blocks || is.checksum != said.checksum) {
                    return fail(fmt::format("{} is not as it was written", path(i).string()), i);
                }
                sources_.push_back(std::move(reader));
            } catch (ValidationError const& error) {
                return fail(error.what(), i);
            }
        }
        return true;
    }

    bool choose_rows() {
        std::unordered_set<BlockKey, BlockKeyHash> wanted(task_.keys.begin(), task_.keys.end());
        for (std::size_t source = 0; source < sources_.size(); ++source) {
            std::vector<io::KvSegmentBlock> const& blocks = sources_[source]->blocks();
            for (std::size_t row = 0; row < blocks.size(); ++row) {
                if (wanted.erase(blocks[row].key) > 0) {
                    rows_.push_back({source, static_cast<std::int64_t>(row), blocks[row]});
                }
            }
        }
        LH_ASSERT(wanted.empty() && !rows_.empty());
        if (task_.one_sequence) {
            // So that a reader of the document finds long runs.
            std::stable_sort(rows_.begin(), rows_.end(), [](Row const& a, Row const& b) {
                return a.block.block < b.block.block;
            });
        }
        return true;
    }

    // Asked first: a disk that is nearly full is not filled to its last byte.
    bool has_room() {
        std::optional<std::string> const warning = io::warn_if_no_room(
            folder_, static_cast<std::int64_t>(rows_.size()) * io::block_bytes(shape_));
        return !warning || fail(*warning);
    }

    void copy(std::atomic<bool> const& stop) {
        std::vector<io::KvSegmentBlock> blocks;
        for (Row const& row : rows_) {
            blocks.push_back(row.block);
        }
        auto const count = static_cast<std::int64_t>(rows_.size());
        std::int64_t const block_bytes = io::block_bytes(shape_);
        std::int64_t const batch =
            std::clamp<std::int64_t>(task_.batch_bytes / block_bytes, 1, count);
        buffer_.resize(static_cast<std::size_t>(batch * block_bytes));
        try {
            io::KvSegmentWriter writer(folder_ / task_.name, shape_, std::move(blocks));
            for (std::int64_t first = 0; first < count; first += batch) {
                if (stop) {
                    done_.stopped = true;
                    return;
                }
                std::int64_t const here = std::min(batch, count - first);
                std::vector<std::span<std::byte const>> data;
                for (std::int64_t i = 0; i < here; ++i) {
                    data.emplace_back(block_in_buffer(i));
                }
                if (!read(first, here)) {
                    return;
                }
                writer.add(first, data);
                if (first / batch % kSyncBatches == kSyncBatches - 1) {
                    writer.sync();
                }
            }
            done_.info = writer.finish();
        } catch (io::IoError const& error) {
            fail(error.what());
        }
    }

    [[nodiscard]] std::span<std::byte> block_in_buffer(std::int64_t index) {
        auto const size = static_cast<std::size_t>(io::block_bytes(shape_));
        return std::span(buffer_).subspan(static_cast<std::size_t>(index) * size, size);
    }

    // Rows [first, first + count) into the buffer, in runs of rows that follow each other in one source.
    bool read(std::int64_t first, std::int64_t count) {
        for (std::int64_t done = 0; done < count;) {
            Row const& begin = rows_[static_cast<std::size_t>(first + done)];
            std::int64_t run = 1;
            while (done + run < count) {
                Row const& next = rows_[static_cast<std::size_t>(first + done + run)];
                if (next.source != begin.source || next.row != begin.row + run) {
                    break;
                }
                ++run;
            }
            if (!read_run(begin, done, run)) {
                return fail(fmt::format("{} is damaged", path(begin.source).string()),
                            begin.source);
            }
            done += run;
        }
        return true;
    }

    bool read_run(Row const& begin, std::int64_t place, std::int64_t run) {
        std::size_t offset = 0;  // in a block
        for (std::int64_t layer = shape_.layers.begin; layer < shape_.layers.end; ++layer) {
            for (io::KvPart const part : {io::KvPart::key, io::KvPart::value}) {
                auto const size = static_cast<std::size_t>(io::head_block_bytes(shape_, part));
                if (size == 0) {
                    continue;  // values are part of the keys
                }
                run_.resize(static_cast<std::size_t>(run) * size);
                for (std::int64_t head = shape_.kv_heads.begin; head < shape_.kv_heads.end;
                     ++head) {
                    if (sources_[begin.source]->read_run(begin.row, run, layer, head, part, run_) !=
                        run) {
                        return false;
                    }
                    for (std::int64_t i = 0; i < run; ++i) {
                        std::copy_n(run_.begin() + i * static_cast<std::ptrdiff_t>(size), size,
                                    block_in_buffer(place + i).begin() +
                                        static_cast<std::ptrdiff_t>(offset));
                    }
                    offset += size;
                }
            }
        }
        return true;
    }

    std::filesystem::path const& folder_;
    io::KvSegmentShape const& shape_;
    CompactTask const& task_;
    CompactDone done_;
    std::vector<std::unique_ptr<io::KvSegmentReader>> sources_;
    std::vector<Row> rows_;
    std::vector<std::byte> buffer_;  // blocks of a batch
    std::vector<std::byte> run_;     // one head of them
};

}  // namespace

CompactDone compact_segments(std::filesystem::path const& folder, io::KvSegmentShape const& shape,
                             CompactTask const& task, std::atomic<bool> const& stop) {
    return Compaction(folder, shape, task).run(stop);
}

}  // namespace longhaul::engine
