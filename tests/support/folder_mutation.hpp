#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>

namespace longhaul::test {

/// The files of a folder by name.
using Contents = std::map<std::string, std::string>;

/// A number in [0, limit).
inline std::int64_t below(std::mt19937_64& random, std::int64_t limit) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(limit));
}

inline std::string any_name(Contents const& contents, std::mt19937_64& random) {
    auto place = contents.begin();
    std::advance(place, below(random, static_cast<std::int64_t>(contents.size())));
    return place->first;
}

/// One random change: a bit, a length, a file gone, two swapped, or a block that never reached the disk.
inline Contents mutated(Contents contents, std::mt19937_64& random) {
    std::string const name = any_name(contents, random);
    std::string& content = contents[name];
    auto const size = std::max<std::int64_t>(static_cast<std::int64_t>(content.size()), 1);
    content.resize(static_cast<std::size_t>(size));
    switch (below(random, 6)) {
        case 0: {
            auto& byte = content[static_cast<std::size_t>(below(random, size))];
            byte = static_cast<char>(byte ^ (1 << below(random, 8)));
            break;
        }
        case 1:
            content.resize(static_cast<std::size_t>(below(random, size)));
            break;
        case 2:
            content += std::string(static_cast<std::size_t>(1 + below(random, 50)), '\0');
            break;
        case 3:
            contents.erase(name);
            break;
        case 4:
            std::swap(content, contents[any_name(contents, random)]);
            break;
        default:  // a block of a file that never reached the disk
            for (std::int64_t i = below(random, size), end = std::min(i + 64, size); i < end; ++i) {
                content[static_cast<std::size_t>(i)] = '\0';
            }
    }
    return contents;
}

}  // namespace longhaul::test
