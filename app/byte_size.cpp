#include "app/byte_size.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"

#include <charconv>

namespace longhaul::app {

std::int64_t parse_byte_size(std::string_view text, std::string const& option) {
    std::int64_t number = 0;
    auto const [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    std::string_view suffix(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
    std::int64_t unit = 1;
    if (!suffix.empty()) {
        constexpr std::string_view kUnits = "KMGT";
        auto const power = kUnits.find(static_cast<char>(suffix.front() & ~0x20));
        bool const known = power != std::string_view::npos;
        std::string_view const tail = suffix.substr(1);
        LH_VALIDATE(known && (tail.empty() || tail == "B" || tail == "iB"),
                    "{} {}: '{}' is no unit; use K, M, G or T (powers of 1024)", option, text,
                    suffix);
        unit = std::int64_t{1} << (10 * (power + 1));
    }
    auto const bytes = checked_multiply(number, unit);
    LH_VALIDATE(error == std::errc{} && bytes && *bytes > 0,
                "{} {}: not a size; write it like 8G or 512M", option, text);
    return *bytes;
}

}  // namespace longhaul::app
