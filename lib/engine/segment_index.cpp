#include "engine/segment_index.hpp"

#include "base/error.hpp"
#include "base/log.hpp"

#include <algorithm>
#include <utility>

namespace longhaul::engine {
namespace {

/// Files kept open: a large checkpoint has more segments than a process may open files.
constexpr std::size_t kMaxOpen = 16;

Range common(Range a, Range b) {
    Range const both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
    return both.begin < both.end ? both : Range{a.begin, a.begin};
}

/// Which layers and heads of those wanted have been found. Segments of one run never overlap, those of two runs may: then
/// the first one that has a piece gives it.
class Heads {
  public:
    explicit Heads(io::KvSegmentShape const& wanted)
        : layers_(wanted.layers),
          heads_(wanted.kv_heads),
          found_(static_cast<std::size_t>(layers_.size() * heads_.size())) {}

    /// Calls find(layer, head) for each missing one in these ranges; it says whether that one is found now.
    template <class Find>
    void for_missing(Range layers, Range heads, Find const& find) {
        Range const here = common(layers_, layers);
        Range const mine = common(heads_, heads);
        for (std::int64_t layer = here.begin; layer < here.end; ++layer) {
            for (std::int64_t head = mine.begin; head < mine.end; ++head) {
                auto const place = static_cast<std::size_t>(
                    (layer - layers_.begin) * heads_.size() + head - heads_.begin);
                found_[place] = found_[place] || find(layer, head);
            }
        }
    }

    [[nodiscard]] bool all() const {
        return std::find(found_.begin(), found_.end(), false) == found_.end();
    }

  private:
    Range layers_;
    Range heads_;
    std::vector<bool> found_;
};

}  // namespace

SegmentIndex::SegmentIndex(io::KvSegmentShape wanted) : wanted_(std::move(wanted)) {}

void SegmentIndex::add(std::filesystem::path const& folder,
                       std::vector<io::KvSegmentInfo> const& segments, bool nameable) {
    for (io::KvSegmentInfo const& info : segments) {
        try {
            add_one(folder / info.name, info, nameable);
        } catch (ValidationError const& error) {
            log::warn("{}; its entries are computed again", error.what());
        } catch (io::IoError const& error) {
            log::warn("{}; its entries are computed again", error.what());
        }
    }
}

void SegmentIndex::add_one(std::filesystem::path const& path, io::KvSegmentInfo const& info,
                           bool nameable) {
    auto reader = std::make_unique<io::KvSegmentReader>(path);
    io::KvSegmentShape const& shape = reader->shape();
    LH_VALIDATE(reader->info().checksum == info.checksum && reader->info().blocks == info.blocks,
                "{} is not the segment that the manifest names", path.string());
    LH_VALIDATE(shape.model == wanted_.model && shape.dtype == wanted_.dtype &&
                    shape.block_slots == wanted_.block_slots && shape.key_dim == wanted_.key_dim &&
                    shape.value_dim == wanted_.value_dim &&
                    shape.num_layers == wanted_.num_layers &&
                    shape.num_kv_heads == wanted_.num_kv_heads,
                "{} is of another model", path.string());
    if (common(shape.layers, wanted_.layers).size() == 0 ||
        common(shape.kv_heads, wanted_.kv_heads).size() == 0) {
        return;
    }
    auto const number = static_cast<std::int32_t>(segments_.size());
    segments_.push_back({path, info, nameable, shape.layers, shape.kv_heads});
    std::vector<io::KvSegmentBlock> const& blocks = reader->blocks();
    for (std::size_t row = 0; row < blocks.size(); ++row) {
        blocks_[blocks[row].key].push_back({number, static_cast<std::int64_t>(row)});
    }
}

bool SegmentIndex::contains(BlockKey const& key) const {
    auto const found = blocks_.find(key);
    if (found == blocks_.end()) {
        return false;
    }
    Heads have(wanted_);
    for (Place const& place : found->second) {
        Segment const& segment = segments_[static_cast<std::size_t>(place.segment)];
        have.for_missing(segment.layers, segment.kv_heads,
                         [](std::int64_t, std::int64_t) { return true; });
    }
    return have.all();
}

io::KvSegmentReader& SegmentIndex::reader(std::int32_t segment) {
    auto const found = std::find_if(open_.begin(), open_.end(),
                                    [&](Open const& open) { return open.segment == segment; });
    if (found != open_.end()) {
        open_.splice(open_.begin(), open_, found);
    } else {
        if (open_.size() >= kMaxOpen) {
            open_.pop_back();
        }
        open_.push_front({segment, std::make_unique<io::KvSegmentReader>(
                                       segments_[static_cast<std::size_t>(segment)].path)});
    }
    return *open_.front().reader;
}

std::string SegmentIndex::read(BlockKey const& key, std::span<std::byte> out) {
    LH_EXPECT(static_cast<std::int64_t>(out.size()) == io::block_bytes(wanted_));
    auto const found = blocks_.find(key);
    if (found == blocks_.end()) {
        return "a block is in no segment of the checkpoint";
    }
    Heads have(wanted_);
    std::string problem;
    for (Place const& place : found->second) {
        Segment const& segment = segments_[static_cast<std::size_t>(place.segment)];
        have.for_missing(segment.layers, segment.kv_heads,
                         [&](std::int64_t layer, std::int64_t head) {
                             std::string const wrong = read_head(place, layer, head, out);
                             if (!wrong.empty()) {
                                 problem = wrong;
                             }
                             return wrong.empty();
                         });
    }
    if (have.all()) {
        return {};
    }
    return problem.empty() ? "parts of a block are in no segment of the checkpoint" : problem;
}

std::string SegmentIndex::read_head(Place const& place, std::int64_t layer, std::int64_t head,
                                    std::span<std::byte> out) {
    std::int64_t const key_bytes = io::head_block_bytes(wanted_, io::KvPart::key);
    std::int64_t const value_bytes = io::head_block_bytes(wanted_, io::KvPart::value);
    std::int64_t const heads = wanted_.kv_heads.size();
    std::int64_t const at_head = head - wanted_.kv_heads.begin;
    std::int64_t const at_layer =
        (layer - wanted_.layers.begin) * heads * (key_bytes + value_bytes);
    auto const part = [&](std::int64_t offset, std::int64_t bytes) {
        return out.subspan(static_cast<std::size_t>(at_layer + offset),
                           static_cast<std::size_t>(bytes));
    };
    try {
        io::KvSegmentReader const& file = reader(place.segment);
        bool const good = file.read(place.row, layer, head, io::KvPart::key,
                                    part(at_head * key_bytes, key_bytes)) &&
                          file.read(place.row, layer, head, io::KvPart::value,
                                    part(heads * key_bytes + at_head * value_bytes, value_bytes));
        return good ? std::string()
                    : fmt::format("{}: block {} of layer {} is damaged",
                                  segments_[static_cast<std::size_t>(place.segment)].path.string(),
                                  place.row, layer);
    } catch (ValidationError const& error) {
        return error.what();  // it was sound when it was opened first
    }
}

std::vector<io::KvSegmentInfo> SegmentIndex::sources(BlockKey const& key) const {
    std::vector<io::KvSegmentInfo> infos;
    Heads have(wanted_);
    for (Place const& place : blocks_.at(key)) {
        Segment const& segment = segments_[static_cast<std::size_t>(place.segment)];
        if (segment.nameable) {
            infos.push_back(segment.info);
            have.for_missing(segment.layers, segment.kv_heads,
                             [](std::int64_t, std::int64_t) { return true; });
        }
    }
    return have.all() ? infos : std::vector<io::KvSegmentInfo>{};
}

}  // namespace longhaul::engine
