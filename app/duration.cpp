#include "app/duration.hpp"

#include "base/error.hpp"

#include <charconv>
#include <optional>
#include <vector>

namespace longhaul::app {
namespace {

std::optional<double> number(std::string_view text) {
    if (text.find_first_not_of("0123456789.") != std::string_view::npos) {
        return std::nullopt;  // from_chars takes "inf" and "nan", too
    }
    double value = 0.0;
    auto const [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    bool const good = error == std::errc{} && end == text.data() + text.size() && value >= 0.0;
    return good ? std::optional(value) : std::nullopt;
}

// Hours, minutes and seconds; with fewer fields the last one is seconds.
std::optional<double> clock_time(std::string_view text) {
    double days = 0.0;
    if (auto const dash = text.find('-'); dash != std::string_view::npos) {
        std::optional<double> const value = number(text.substr(0, dash));
        if (!value) {
            return std::nullopt;
        }
        days = *value;
        text.remove_prefix(dash + 1);
    }
    double seconds = 0.0;
    int fields = 0;
    for (bool more = true; more; ++fields) {
        auto const colon = text.find(':');
        more = colon != std::string_view::npos;
        std::optional<double> const value = number(text.substr(0, colon));
        if (!value || fields == 3) {
            return std::nullopt;
        }
        seconds = seconds * 60.0 + *value;
        text.remove_prefix(more ? colon + 1 : text.size());
    }
    return days * 86400.0 + seconds;
}

std::optional<double> with_unit(std::string_view text) {
    double factor = 1.0;
    switch (text.empty() ? ' ' : text.back()) {
        case 's':
            break;
        case 'm':
            factor = 60.0;
            break;
        case 'h':
            factor = 3600.0;
            break;
        case 'd':
            factor = 86400.0;
            break;
        default:
            return number(text);
    }
    std::optional<double> const value = number(text.substr(0, text.size() - 1));
    return value ? std::optional(*value * factor) : std::nullopt;
}

}  // namespace

double parse_duration(std::string_view text, std::string const& option) {
    bool const clock = text.find(':') != std::string_view::npos;
    std::optional<double> const seconds = clock ? clock_time(text) : with_unit(text);
    LH_VALIDATE(seconds && *seconds > 0.0,
                "{} {}: write a time like 90s, 10m, 2h, or 1-12:00:00 as Slurm does", option, text);
    return *seconds;
}

}  // namespace longhaul::app
