#include "engine/prepared_job.hpp"

#include <chrono>
#include <utility>

namespace longhaul::engine {

PrepareThread::PrepareThread(Prepare prepare)
    : prepare_(std::move(prepare)), thread_([this] { run(); }) {}

PrepareThread::~PrepareThread() {
    {
        std::scoped_lock const lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void PrepareThread::submit(LinkJob job) {
    ++num_pending_;
    {
        std::scoped_lock const lock(mutex_);
        incoming_.push_back(std::move(job));
    }
    wake_.notify_one();
}

std::optional<PreparedJob> PrepareThread::poll() {
    std::scoped_lock const lock(mutex_);
    if (done_.empty()) {
        return std::nullopt;
    }
    PreparedJob prepared = std::move(done_.front());
    done_.pop_front();
    --num_pending_;
    return prepared;
}

void PrepareThread::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return stopping_ || !incoming_.empty(); });
        if (stopping_) {
            return;
        }
        LinkJob const job = std::move(incoming_.front());
        incoming_.pop_front();
        lock.unlock();
        auto const begin = std::chrono::steady_clock::now();
        PreparedJob prepared = prepare_(job);
        prepared.seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        lock.lock();
        done_.push_back(std::move(prepared));
    }
}

}  // namespace longhaul::engine
