#include "engine/queue_thread.hpp"

#include <utility>

namespace longhaul::engine {

QueueThread::QueueThread(io::QueueReader& queue, std::size_t max_entries, std::int64_t max_bytes)
    : queue_(queue), max_entries_(max_entries), max_bytes_(max_bytes), thread_([this] { run(); }) {}

QueueThread::~QueueThread() {
    {
        std::scoped_lock const lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

bool QueueThread::ready() {
    std::scoped_lock const lock(mutex_);
    return ended_ || !entries_.empty();
}

std::optional<io::QueueEntry> QueueThread::next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_ || !entries_.empty(); });
    if (entries_.empty()) {
        return std::nullopt;
    }
    io::QueueEntry entry = std::move(entries_.front());
    entries_.pop_front();
    bytes_ -= entry.line_bytes;
    lock.unlock();
    changed_.notify_all();
    return entry;
}

void QueueThread::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        // An empty buffer takes a line of any length.
        changed_.wait(lock, [this] {
            return stopping_ || entries_.empty() ||
                   (entries_.size() < max_entries_ && bytes_ < max_bytes_);
        });
        if (stopping_) {
            return;
        }
        lock.unlock();
        std::optional<io::QueueEntry> entry = queue_.next();
        lock.lock();
        if (!entry) {
            ended_ = true;
            changed_.notify_all();
            return;
        }
        bytes_ += entry->line_bytes;
        entries_.push_back(std::move(*entry));
        changed_.notify_all();
    }
}

}  // namespace longhaul::engine
