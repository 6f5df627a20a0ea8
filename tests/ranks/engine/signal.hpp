#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace longhaul::test {

/// One-time signal between rank threads.
class Signal {
  public:
    void set() {
        {
            std::scoped_lock const lock(mutex_);
            set_ = true;
        }
        changed_.notify_all();
    }
    /// False when it does not come.
    [[nodiscard]] bool wait() {
        constexpr std::chrono::seconds kLimit(20);
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, kLimit, [this] { return set_; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool set_ = false;
};

}  // namespace longhaul::test
