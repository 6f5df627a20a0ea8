#include "engine/embedding_reader.hpp"

#include "base/error.hpp"
#include "base/log.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace longhaul::engine {
namespace {

constexpr std::size_t kOpenFiles = 8;

}  // namespace

EmbeddingReader::EmbeddingReader(std::int64_t width, std::int64_t capacity_tiles)
    : width_(width),
      capacity_(static_cast<std::size_t>(std::max<std::int64_t>(2, capacity_tiles))),
      thread_([this] { run(); }) {}

EmbeddingReader::~EmbeddingReader() {
    {
        std::scoped_lock const lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

std::shared_ptr<EmbeddingReader::Tile const> EmbeddingReader::get(
    schedule::EmbeddingSpan const& span, std::int64_t tile) {
    std::unique_lock lock(mutex_);
    Slot& slot = request({span.file, span.file_bytes, span.file_modified_ns, tile});
    changed_.notify_all();
    changed_.wait(lock, [&slot] { return slot.tile != nullptr; });
    return slot.tile;
}

void EmbeddingReader::read_ahead(schedule::EmbeddingSpan const& span, std::int64_t tile) {
    {
        std::scoped_lock const lock(mutex_);
        static_cast<void>(request({span.file, span.file_bytes, span.file_modified_ns, tile}));
    }
    changed_.notify_all();
}

// Finds the tile or puts it in line. Slots that are waited for stay: only filled ones make room.
EmbeddingReader::Slot& EmbeddingReader::request(Key key) {
    auto found = slots_.find(key);
    if (found == slots_.end()) {
        make_room();
        requests_.push_back(key);
        found = slots_.emplace(std::move(key), Slot{}).first;
    }
    found->second.last_use = ++clock_;
    return found->second;
}

void EmbeddingReader::make_room() {
    while (slots_.size() >= capacity_) {
        auto oldest = slots_.end();
        for (auto slot = slots_.begin(); slot != slots_.end(); ++slot) {
            bool const older =
                oldest == slots_.end() || slot->second.last_use < oldest->second.last_use;
            if (slot->second.tile != nullptr && older) {
                oldest = slot;
            }
        }
        if (oldest == slots_.end()) {
            return;
        }
        slots_.erase(oldest);
    }
}

void EmbeddingReader::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stopping_ || !requests_.empty(); });
        if (stopping_) {
            return;
        }
        Key const key = std::move(requests_.front());
        requests_.pop_front();
        lock.unlock();
        auto tile = std::make_shared<Tile const>(read(key));
        lock.lock();
        slots_.at(key).tile = std::move(tile);
        changed_.notify_all();
    }
}

EmbeddingReader::Tile EmbeddingReader::read(Key const& key) {
    std::int64_t const first = std::get<3>(key) * kTileRows;
    try {
        io::VideoTokensFile const& file = open(key);
        Range const rows{first, std::min(first + kTileRows, file.info().num_rows)};
        LH_ASSERT(!rows.empty() && file.info().width == width_);
        Tile tile(static_cast<std::size_t>(rows.size() * width_));
        file.read(rows, tile.data());
        return tile;
    } catch (io::VideoTokensError const& error) {
        files_.erase(std::get<0>(key));
        if (std::exchange(warned_, std::get<0>(key)) != std::get<0>(key)) {
            log::warn("{}; its jobs fail", error.what());
        }
        return Tile(static_cast<std::size_t>(kTileRows * width_),
                    std::numeric_limits<float>::quiet_NaN());
    }
}

io::VideoTokensFile const& EmbeddingReader::open(Key const& key) {
    auto const& [path, bytes, modified_ns, tile] = key;
    io::FileStamp const expected{bytes, modified_ns};
    auto found = files_.find(path);
    if (found != files_.end() && found->second->info().stamp == expected) {
        return *found->second;
    }
    if (files_.size() >= kOpenFiles) {
        files_.clear();
    }
    files_.erase(path);
    auto file = std::make_unique<io::VideoTokensFile>(path);
    if (file->info().stamp != expected) {
        throw io::VideoTokensError(
            {"unreadable", fmt::format("the video tokens {} changed while the run was using them, "
                                       "or are another file on this node",
                                       path)});
    }
    return *(files_[path] = std::move(file));
}

}  // namespace longhaul::engine
