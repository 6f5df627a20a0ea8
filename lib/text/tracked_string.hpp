#pragma once

#include "base/range.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace longhaul::text {

/// A string that knows which of its bytes came from outside the template, and from where: what was handed in as data must never
/// be read as control tokens, whatever the template does with it. All offsets are bytes.
class TrackedString {
  public:
    /// Bytes [bytes.begin, bytes.end) of the string are the source's bytes from `source_begin` on.
    struct Span {
        Range bytes;
        std::int64_t source = 0;
        std::int64_t source_begin = 0;

        friend bool operator==(Span const&, Span const&) = default;
    };

    TrackedString() = default;
    /// Written by the template.
    explicit TrackedString(std::string bytes) : bytes_(std::move(bytes)) {}
    /// Handed in as `source`.
    TrackedString(std::string bytes, std::int64_t source);

    [[nodiscard]] std::string const& bytes() const { return bytes_; }
    [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(bytes_.size()); }
    /// Ascending, disjoint, none empty; what they leave out is the template's.
    [[nodiscard]] std::vector<Span> const& spans() const { return spans_; }

    void append(TrackedString const& other);
    void append(std::string_view template_text) { bytes_ += template_text; }
    [[nodiscard]] TrackedString part(Range range) const;

  private:
    void add_span(Span const& span);

    std::string bytes_;
    std::vector<Span> spans_;
};

}  // namespace longhaul::text
