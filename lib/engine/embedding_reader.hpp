#pragma once

#include "io/video_tokens_file.hpp"
#include "schedule/embedding_span.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace longhaul::engine {

/// Reads rows of embedding files in tiles, in a thread of its own, so that the rows of the next chunk come from the disk
/// while this one is computed. Keeps the tiles used last.
///
/// Rows that cannot be read, or whose file is not the one that was hashed, come as NaN: they make the logits of their
/// sequence NaN, which fails that job alone, and the reason goes to the log.
/// Thread  one caller
class EmbeddingReader {
  public:
    static constexpr std::int64_t kTileRows = 64;

    using Tile = std::vector<float>;  ///< [up to kTileRows, width]

    EmbeddingReader(std::int64_t width, std::int64_t capacity_tiles);
    ~EmbeddingReader();
    EmbeddingReader(EmbeddingReader const&) = delete;
    EmbeddingReader& operator=(EmbeddingReader const&) = delete;

    /// Rows [tile * kTileRows, (tile + 1) * kTileRows) of the span's file, as far as it has them. Waits for them.
    [[nodiscard]] std::shared_ptr<Tile const> get(schedule::EmbeddingSpan const& span,
                                                  std::int64_t tile);

    /// Starts reading a tile unless it is there or on its way.
    void read_ahead(schedule::EmbeddingSpan const& span, std::int64_t tile);

  private:
    // File, its size and time, tile.
    using Key = std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t>;
    struct Slot {
        std::shared_ptr<Tile const> tile;  // null: on its way
        std::int64_t last_use = 0;
    };

    [[nodiscard]] Slot& request(Key key);
    void make_room();
    void run();
    [[nodiscard]] Tile read(Key const& key);
    [[nodiscard]] io::VideoTokensFile const& open(Key const& key);

    std::int64_t width_;
    std::size_t capacity_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Key> requests_;
    std::map<Key, Slot> slots_;
    std::int64_t clock_ = 0;
    bool stopping_ = false;

    std::map<std::string, std::unique_ptr<io::VideoTokensFile>> files_;  // reader thread only
    std::string warned_;                                                 // reader thread only
    std::thread thread_;
};

}  // namespace longhaul::engine
