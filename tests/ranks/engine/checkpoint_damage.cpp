#include "ranks/engine/checkpoint_damage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>

namespace longhaul::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPage = 4096;

std::size_t below(std::mt19937_64& random, std::size_t limit) {
    return limit == 0 ? 0 : static_cast<std::size_t>(random() % limit);
}

template <class T>
T const& any_of(std::vector<T> const& all, std::mt19937_64& random) {
    return all.at(below(random, all.size()));
}

std::string read(fs::path const& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void write(fs::path const& path, std::string const& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Over whatever is there.
void put(fs::path const& from, fs::path const& to) {
    if (from != to) {
        fs::remove_all(to);
        fs::copy_file(from, to);
    }
}

std::string name(fs::path const& path) { return path.filename().string(); }

}  // namespace

std::vector<fs::path> files_below(fs::path const& folder, std::string const& ending) {
    std::vector<fs::path> files;
    for (auto const& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file() && name(entry.path()).ends_with(ending)) {
            files.push_back(entry.path());
        }
    }
    std::sort(files.begin(), files.end());
    return files;
}

std::string CheckpointDamage::apply(fs::path const& folder, std::mt19937_64& random) {
    traceless_ = false;
    // The lock is no content, and of the two other kinds there are more segments than manifests.
    std::vector<fs::path> files =
        files_below(folder, std::vector<std::string>{".json", ".h5", ".h5", "runs"}[random() % 4]);
    if (files.empty()) {
        return "nothing left to damage";
    }
    fs::path const file = any_of(files, random);
    switch (random() % 5) {
        case 0:
        case 1:
            return change_bytes(file, random);
        case 2:
        case 3:
            return change_file(file, random);
        default:
            return mix(folder, random);
    }
}

std::string CheckpointDamage::change_bytes(fs::path const& file, std::mt19937_64& random) const {
    std::string bytes = read(file);
    if (bytes.empty()) {
        return name(file) + " is empty";
    }
    std::string what;
    switch (random() % 5) {
        case 0: {
            std::size_t const at = below(random, bytes.size());
            auto const bit = static_cast<int>(random() % 8);
            bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
            what = fmt::format("bit {} of byte {} of {} flipped", bit, at, name(file));
            break;
        }
        case 1: {
            // The tables and the headers of the file lie in front.
            std::size_t const at = below(random, std::min<std::size_t>(bytes.size(), kPage));
            bytes[at] = static_cast<char>(random());
            what = fmt::format("byte {} of {} changed", at, name(file));
            break;
        }
        case 2:
            for (int i = 0; i < 100; ++i) {
                bytes[below(random, bytes.size())] = static_cast<char>(random());
            }
            what = fmt::format("100 bytes of {} changed", name(file));
            break;
        case 3: {
            std::size_t const page = below(random, (bytes.size() + kPage - 1) / kPage) * kPage;
            std::fill(
                bytes.begin() + static_cast<std::ptrdiff_t>(page),
                bytes.begin() + static_cast<std::ptrdiff_t>(std::min(page + kPage, bytes.size())),
                '\0');
            what = fmt::format("page at {} of {} zeroed", page, name(file));
            break;
        }
        default:
            std::fill(bytes.begin(), bytes.end(), '\0');
            what = fmt::format("all of {} zeroed", name(file));
    }
    write(file, bytes);
    return what;
}

std::string CheckpointDamage::change_file(fs::path const& file, std::mt19937_64& random) {
    std::string const bytes = read(file);
    switch (random() % 5) {
        case 0: {
            std::size_t const size = below(random, bytes.size());
            fs::resize_file(file, size);
            return fmt::format("{} cut from {} to {} bytes", name(file), bytes.size(), size);
        }
        case 1:
            fs::resize_file(file, 0);
            return name(file) + " emptied";
        case 2:
            write(file, bytes + std::string(1 + below(random, 1000), 'x'));
            return name(file) + " lengthened";
        case 3:
            fs::remove(file);
            fs::create_directory(file);
            return name(file) + " replaced by a folder";
        default:
            fs::remove(file);
            traceless_ = true;
            return name(file) + " removed";
    }
}

std::string CheckpointDamage::mix(fs::path const& folder, std::mt19937_64& random) {
    bool const manifests = random() % 3 == 0;
    std::string const ending = manifests ? ".json" : ".h5";
    std::vector<fs::path> const files = files_below(folder, ending);
    if (files.empty()) {
        return "nothing left to mix";
    }
    fs::path const file = any_of(files, random);
    switch (random() % 5) {
        case 0: {
            fs::path const other = any_of(files, random);
            std::string const bytes = read(file);
            put(other, file);
            write(other, bytes);
            return fmt::format("{} and {} swapped", name(file), name(other));
        }
        case 1: {
            fs::path const other = any_of(files_below(foreign_, ending), random);
            put(other, file);
            return fmt::format("{} replaced by {} of other jobs", name(file), name(other));
        }
        case 2: {
            fs::path const other = any_of(files_below(foreign_, ending), random);
            put(other, file.parent_path() / name(other));
            return fmt::format("{} of other jobs added", name(other));
        }
        case 3: {
            for (fs::path const& manifest : files_below(folder, ".json")) {
                fs::remove_all(manifest);
            }
            for (fs::path const& manifest : files_below(earlier_, ".json")) {
                put(manifest, folder / name(manifest));
            }
            traceless_ = true;
            return "manifests of an earlier state with the segments of now";
        }
        default: {
            fs::path const other = any_of(files_below(earlier_, ending), random);
            put(other, file);
            return fmt::format("{} replaced by {} of an earlier state", name(file), name(other));
        }
    }
}

}  // namespace longhaul::test
