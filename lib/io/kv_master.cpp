#include "io/kv_master.hpp"

#include "base/error.hpp"
#include "io/hdf5_image.hpp"
#include "io/kv_segment_layout.hpp"
#include "io/output_dir_files.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace longhaul::io {
namespace {

using detail::layer_name;
using detail::part_name;

/// Rows that follow each other at equal distances on both sides.
struct Run {
    std::int64_t start = 0;
    std::int64_t step = 1;
    std::int64_t source_start = 0;
    std::int64_t source_step = 1;
    std::int64_t count = 0;
};

// With `striped` placement a segment holds every kvp-th block of a sequence: one run, not one per block.
void append(std::vector<Run>& runs, std::int64_t row, std::int64_t source_row) {
    if (!runs.empty()) {
        Run& last = runs.back();
        std::int64_t const step = row - (last.start + (last.count - 1) * last.step);
        std::int64_t const source_step =
            source_row - (last.source_start + (last.count - 1) * last.source_step);
        bool const goes_on = last.count == 1 ? step > 0 && source_step > 0
                                             : step == last.step && source_step == last.source_step;
        if (goes_on) {
            last.step = step;
            last.source_step = source_step;
            ++last.count;
            return;
        }
    }
    runs.push_back({row, 1, source_row, 1, 1});
}

std::string escaped(std::string const& name) {
    std::string result;
    for (char const c : name) {
        if (c == '/' || c == '.' || c == '%') {
            result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        } else {
            result += c;
        }
    }
    return result;
}

/// A segment and where its blocks stand.
struct Source {
    KvMasterSegment const* segment = nullptr;
    std::unordered_map<BlockKey, std::int64_t, BlockKeyHash> rows;
};

KvSegmentShape const& first_shape(std::span<KvMasterSegment const> segments) {
    LH_EXPECT(!segments.empty());
    return segments.front().shape;
}

bool same_model(KvSegmentShape const& a, KvSegmentShape b) {
    b.layers = a.layers;
    b.kv_heads = a.kv_heads;
    return a == b;
}

class MasterWriter {
  public:
    MasterWriter(std::filesystem::path const& path, std::span<KvMasterSegment const> segments)
        : path_(path), shape_(first_shape(segments)) {
        for (KvMasterSegment const& segment : segments) {
            check_segment_shape(segment.shape, path);
            LH_VALIDATE(same_model(shape_, segment.shape),
                        "{}: the segments {} and {} are not of one model and cache layout; "
                        "use a folder of its own for each",
                        path.string(), segments.front().file, segment.file);
            Source source{&segment, {}};
            for (std::size_t i = 0; i < segment.blocks.size(); ++i) {
                source.rows.try_emplace(segment.blocks[i].key, static_cast<std::int64_t>(i));
            }
            sources_.push_back(std::move(source));
        }
        write_header();
    }

    void add(KvMasterSequence const& sequence) {
        LH_EXPECT(!sequence.name.empty());
        std::string const group = "/" + escaped(sequence.name);
        image_.create_group(group);
        image_.set(group, "name", sequence.name);
        image_.set(group, "num_blocks", static_cast<std::int64_t>(sequence.keys.size()));
        count_slots(group, sequence);
        if (sequence.keys.empty()) return;
        std::vector<std::vector<Run>> const runs = find_runs(sequence);
        for (std::int64_t layer = 0; layer < shape_.num_layers; ++layer) {
            std::string const parent = group + "/" + layer_name(layer);
            image_.create_group(parent);
            for (KvPart const part : detail::stored_parts(shape_)) {
                add_part(parent + "/" + part_name(part), sequence, layer, part, runs);
            }
        }
    }

    void finish() {
        image_.finish();
        std::string content(static_cast<std::size_t>(image_.size()), '\0');
        image_.read(0, std::as_writable_bytes(std::span(content)));
        write_file_atomically(path_, content);
    }

  private:
    void write_header() {
        image_.set("/", "format", std::string("longhaul-kv-master"));
        image_.set("/", "format_version", detail::kSegmentVersion);
        image_.set("/", "model", shape_.model);
        image_.set("/", "dtype", std::string(dtype_name(shape_.dtype)));
        image_.set("/", "block_slots", shape_.block_slots);
        image_.set("/", "key_dim", shape_.key_dim);
        image_.set("/", "value_dim", shape_.value_dim);
        image_.set("/", "num_layers", shape_.num_layers);
        image_.set("/", "num_kv_heads", shape_.num_kv_heads);
    }

    void count_slots(std::string const& group, KvMasterSequence const& sequence) {
        std::int64_t slots = 0;
        std::int64_t missing = 0;
        std::int64_t const pairs = shape_.num_layers * shape_.num_kv_heads;
        std::vector<bool> seen(static_cast<std::size_t>(pairs));
        for (BlockKey const& key : sequence.keys) {
            std::int64_t filled = 0;
            std::int64_t found = 0;
            seen.assign(seen.size(), false);
            for (Source const& source : sources_) {
                auto const row = source.rows.find(key);
                if (row == source.rows.end()) continue;
                auto const& segment = *source.segment;
                filled = segment.blocks[static_cast<std::size_t>(row->second)].slots;
                found += mark(seen, segment.shape);
            }
            slots += filled;
            missing += found < pairs ? 1 : 0;
        }
        image_.set(group, "num_slots", slots);
        image_.set(group, "missing_blocks", missing);
    }

    // Marks a segment's (layer, head) pairs; returns how many are new.
    [[nodiscard]] std::int64_t mark(std::vector<bool>& seen, KvSegmentShape const& shape) const {
        std::int64_t fresh = 0;
        for (std::int64_t layer = shape.layers.begin; layer < shape.layers.end; ++layer) {
            for (std::int64_t head = shape.kv_heads.begin; head < shape.kv_heads.end; ++head) {
                auto pair = seen[static_cast<std::size_t>(layer * shape_.num_kv_heads + head)];
                fresh += pair ? 0 : 1;
                pair = true;
            }
        }
        return fresh;
    }

    [[nodiscard]] std::vector<std::vector<Run>> find_runs(KvMasterSequence const& sequence) const {
        std::vector<std::vector<Run>> runs;
        for (Source const& source : sources_) {
            auto& list = runs.emplace_back();
            for (std::size_t block = 0; block < sequence.keys.size(); ++block) {
                auto const row = source.rows.find(sequence.keys[block]);
                if (row != source.rows.end()) {
                    append(list, static_cast<std::int64_t>(block), row->second);
                }
            }
        }
        return runs;
    }

    void add_part(std::string const& name, KvMasterSequence const& sequence, std::int64_t layer,
                  KvPart part, std::vector<std::vector<Run>> const& runs) {
        std::int64_t const dim = part == KvPart::key ? shape_.key_dim : shape_.value_dim;
        std::vector<Hdf5Mapping> mappings;
        for (std::size_t s = 0; s < sources_.size(); ++s) {
            KvMasterSegment const& segment = *sources_[s].segment;
            if (!segment.shape.layers.contains(layer)) continue;
            Range const heads = segment.shape.kv_heads;
            for (Run const& run : runs[s]) {
                mappings.push_back({segment.file,
                                    "/" + layer_name(layer) + "/" + part_name(part),
                                    {heads.size(), static_cast<std::int64_t>(segment.blocks.size()),
                                     shape_.block_slots, dim},
                                    {0, run.source_start, 0, 0},
                                    run.source_step,
                                    {heads.begin, run.start, 0, 0},
                                    run.step,
                                    {heads.size(), run.count, shape_.block_slots, dim}});
            }
        }
        image_.create_virtual(name, detail::element_type(shape_.dtype),
                              {shape_.num_kv_heads, static_cast<std::int64_t>(sequence.keys.size()),
                               shape_.block_slots, dim},
                              mappings);
        image_.set(name, "dtype", std::string(dtype_name(shape_.dtype)));
    }

    std::filesystem::path path_;
    KvSegmentShape shape_;
    std::vector<Source> sources_;
    Hdf5Image image_;
};

}  // namespace

void write_kv_master(std::filesystem::path const& path, std::span<KvMasterSegment const> segments,
                     std::span<KvMasterSequence const> sequences) {
    MasterWriter writer(path, segments);
    for (KvMasterSequence const& sequence : sequences) writer.add(sequence);
    writer.finish();
}

}  // namespace longhaul::io
