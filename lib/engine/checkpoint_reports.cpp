#include "engine/checkpoint_reports.hpp"

#include "base/bytes.hpp"

namespace longhaul::engine {

void put_names(ByteWriter& out, std::vector<std::string> const& names) {
    out.put(static_cast<std::int64_t>(names.size()));
    for (std::string const& name : names) {
        out.put(name);
    }
}

std::vector<std::string> get_names(ByteReader& in) {
    std::vector<std::string> names(static_cast<std::size_t>(in.get<std::int64_t>()));
    for (std::string& name : names) {
        in.get(name);
    }
    return names;
}

void put_segments(ByteWriter& out, std::vector<io::KvSegmentInfo> const& segments) {
    out.put(static_cast<std::int64_t>(segments.size()));
    for (io::KvSegmentInfo const& segment : segments) {
        out.put(segment.name);
        out.put(segment.bytes);
        out.put(segment.blocks);
        out.put(segment.checksum);
    }
}

std::vector<io::KvSegmentInfo> get_segments(ByteReader& in) {
    std::vector<io::KvSegmentInfo> segments(static_cast<std::size_t>(in.get<std::int64_t>()));
    for (io::KvSegmentInfo& segment : segments) {
        in.get(segment.name);
        in.get(segment.bytes);
        in.get(segment.blocks);
        in.get(segment.checksum);
    }
    return segments;
}

std::vector<std::byte> EpochReport::serialize() const {
    ByteWriter out;
    out.put(epoch);
    out.put(failure);
    out.put(bytes);
    out.put(stalled_s);
    put_segments(out, segments);
    put_names(out, dropped);
    return out.take();
}

EpochReport EpochReport::deserialize(std::span<std::byte const> bytes) {
    ByteReader in(bytes);
    EpochReport report;
    in.get(report.epoch);
    in.get(report.failure);
    in.get(report.bytes);
    in.get(report.stalled_s);
    report.segments = get_segments(in);
    report.dropped = get_names(in);
    return report;
}

}  // namespace longhaul::engine
