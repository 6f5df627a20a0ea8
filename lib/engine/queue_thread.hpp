#pragma once

#include "io/queue_reader.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

namespace longhaul::engine {

/// Reads a queue ahead in a thread of its own, a bounded piece: a queue that comes slowly (a pipe, standard input) must not
/// keep the job server from writing the results it has.
class QueueThread {
  public:
    explicit QueueThread(io::QueueReader& queue, std::size_t max_entries = 16,
                         std::int64_t max_bytes = std::int64_t{64} << 20);
    /// Waits for a read under way: on the good path the queue has ended.
    ~QueueThread();
    QueueThread(QueueThread const&) = delete;
    QueueThread& operator=(QueueThread const&) = delete;

    /// Whether next() answers at once.
    [[nodiscard]] bool ready();

    /// The next entry, or nothing once the queue has ended. Waits for it.
    [[nodiscard]] std::optional<io::QueueEntry> next();

  private:
    void run();

    io::QueueReader& queue_;
    std::size_t max_entries_;
    std::int64_t max_bytes_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<io::QueueEntry> entries_;
    std::int64_t bytes_ = 0;
    bool ended_ = false;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace longhaul::engine
