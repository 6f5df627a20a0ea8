#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace longhaul::engine {

/// Does tasks one after the other in a thread of its own; their outcomes are polled for. `work` must not throw.
template <class Task, class Done>
class WorkerThread {
  public:
    explicit WorkerThread(std::function<Done(Task)> work)
        : work_(std::move(work)), thread_([this] { run(); }) {}
    WorkerThread(WorkerThread const&) = delete;
    WorkerThread& operator=(WorkerThread const&) = delete;

    /// Waits for the task under way; those that wait are dropped.
    ~WorkerThread() {
        {
            std::scoped_lock const lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }

    void submit(Task task) {
        ++num_pending_;
        {
            std::scoped_lock const lock(mutex_);
            tasks_.push_back(std::move(task));
        }
        changed_.notify_all();
    }

    /// The outcome of the oldest task whose outcome was not taken yet, if it is done.
    [[nodiscard]] std::optional<Done> poll() {
        std::scoped_lock const lock(mutex_);
        return take();
    }

    /// The same, waiting for it. Some task is pending.
    [[nodiscard]] Done wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !done_.empty(); });
        return *take();
    }

    /// Tasks handed in whose outcome was not taken yet.
    [[nodiscard]] int num_pending() const { return num_pending_; }

  private:
    std::optional<Done> take() {
        if (done_.empty()) {
            return std::nullopt;
        }
        Done done = std::move(done_.front());
        done_.pop_front();
        --num_pending_;
        return done;
    }

    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
            if (stopping_) {
                return;
            }
            Task task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            Done done = work_(std::move(task));
            lock.lock();
            done_.push_back(std::move(done));
            changed_.notify_all();
        }
    }

    std::function<Done(Task)> work_;
    int num_pending_ = 0;  // caller's thread only
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Task> tasks_;
    std::deque<Done> done_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace longhaul::engine
