#include "io/checkpoint_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace longhaul::io {
namespace {

constexpr std::size_t kMostDigits = 18;  // fits int64

/// Takes literal text and numbers off the front of a name; once something does not fit it stays wrong.
class NameReader {
  public:
    explicit NameReader(std::string_view name) : rest_(name) {}

    NameReader& text(std::string_view expected) {
        good_ = good_ && rest_.starts_with(expected);
        if (good_) rest_.remove_prefix(expected.size());
        return *this;
    }
    NameReader& number(std::int64_t& value) {
        std::size_t const digits = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
        bool const canonical = digits == 1 || (digits > 1 && rest_.front() != '0');
        good_ = good_ && canonical && digits <= kMostDigits;
        if (good_) {
            std::from_chars(rest_.data(), rest_.data() + digits, value);
            rest_.remove_prefix(digits);
        }
        return *this;
    }
    [[nodiscard]] bool done() const { return good_ && rest_.empty(); }

  private:
    std::string_view rest_;
    bool good_ = true;
};

}  // namespace

std::string manifest_name(EpochId const& id) {
    return fmt::format("manifest-r{}-p{}-e{}.json", id.run, id.replica, id.epoch);
}

std::optional<EpochId> parse_manifest_name(std::string_view name) {
    EpochId id;
    NameReader reader(name);
    reader.text("manifest-r").number(id.run).text("-p").number(id.replica);
    reader.text("-e").number(id.epoch).text(".json");
    return reader.done() ? std::optional(id) : std::nullopt;
}

std::string segment_name(SegmentId const& id) {
    return fmt::format("r{}-p{}-s{}k{}t{}-{}.h5", id.run, id.replica, id.stage, id.kvp, id.tp,
                       id.number);
}

std::optional<SegmentId> parse_segment_name(std::string_view name) {
    SegmentId id;
    NameReader reader(name);
    reader.text("r").number(id.run).text("-p").number(id.replica);
    reader.text("-s").number(id.stage).text("k").number(id.kvp).text("t").number(id.tp);
    reader.text("-").number(id.number).text(".h5");
    return reader.done() ? std::optional(id) : std::nullopt;
}

}  // namespace longhaul::io
