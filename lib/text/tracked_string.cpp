#include "text/tracked_string.hpp"

#include <algorithm>

namespace longhaul::text {

TrackedString::TrackedString(std::string bytes, std::int64_t source) : bytes_(std::move(bytes)) {
    add_span({{0, size()}, source, 0});
}

void TrackedString::add_span(Span const& span) {
    if (span.bytes.empty()) {
        return;
    }
    if (!spans_.empty()) {
        Span& last = spans_.back();
        if (last.bytes.end == span.bytes.begin && last.source == span.source &&
            last.source_begin + last.bytes.size() == span.source_begin) {
            last.bytes.end = span.bytes.end;
            return;
        }
    }
    spans_.push_back(span);
}

void TrackedString::append(TrackedString const& other) {
    std::int64_t const offset = size();
    std::size_t const count = other.spans_.size();  // `other` may be this string
    for (std::size_t i = 0; i < count; ++i) {
        Span const span = other.spans_[i];
        add_span(
            {{span.bytes.begin + offset, span.bytes.end + offset}, span.source, span.source_begin});
    }
    bytes_ += other.bytes_;
}

TrackedString TrackedString::part(Range range) const {
    LH_EXPECT(range.begin >= 0 && range.begin <= range.end && range.end <= size());
    TrackedString out(bytes_.substr(static_cast<std::size_t>(range.begin),
                                    static_cast<std::size_t>(range.size())));
    for (Span const& span : spans_) {
        std::int64_t const begin = std::max(span.bytes.begin, range.begin);
        std::int64_t const end = std::min(span.bytes.end, range.end);
        if (begin < end) {
            out.add_span({{begin - range.begin, end - range.begin},
                          span.source,
                          span.source_begin + (begin - span.bytes.begin)});
        }
    }
    return out;
}

}  // namespace longhaul::text
