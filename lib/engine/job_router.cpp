#include "engine/job_router.hpp"

#include <string_view>
#include <utility>

namespace longhaul::engine {
namespace {

// Inline texts are told apart by hash: this only steers placement, so a collision costs nothing but balance.
std::string document_key(io::Job const& job) {
    if (job.path) {
        return "path:" + job.path->string();
    }
    if (job.text) {
        return "text:" + std::to_string(std::hash<std::string_view>{}(*job.text));
    }
    std::string_view const ids(reinterpret_cast<char const*>(job.token_ids->data()),
                               job.token_ids->size() * sizeof(TokenId));
    return "ids:" + std::to_string(std::hash<std::string_view>{}(ids));
}

std::int64_t held_size(io::Job const& job) {
    std::size_t const ids = job.token_ids ? job.token_ids->size() * sizeof(TokenId) : 0;
    return static_cast<std::int64_t>((job.text ? job.text->size() : 0) + ids + 1024);
}

}  // namespace

JobRouter::JobRouter(Source source, std::size_t max_jobs, std::int64_t max_bytes, Ready ready)
    : source_(std::move(source)),
      ready_(std::move(ready)),
      max_jobs_(max_jobs),
      max_bytes_(max_bytes) {}

bool JobRouter::read_one() {
    if (exhausted_) {
        return false;
    }
    std::optional<io::Job> job = source_();
    if (!job) {
        exhausted_ = true;
        return false;
    }
    Waiting& waiting = waiting_.emplace_back();
    waiting.document = document_key(*job);
    waiting.bytes = held_size(*job);
    waiting.job = std::move(*job);
    held_bytes_ += waiting.bytes;
    return true;
}

JobRouter::Answer JobRouter::next(int replica, io::Job& job) {
    for (std::size_t i = 0;; ++i) {
        if (i == waiting_.size()) {
            bool const full = waiting_.size() >= max_jobs_ || held_bytes_ >= max_bytes_;
            bool const slow = !exhausted_ && ready_ && !ready_();
            if ((full && !waiting_.empty()) || slow) {
                return Answer::later;
            }
            if (!read_one()) {
                return Answer::none;
            }
        }
        auto const [owner, is_new] = owner_.try_emplace(waiting_[i].document, replica);
        if (owner->second == replica) {
            job = std::move(waiting_[i].job);
            held_bytes_ -= waiting_[i].bytes;
            waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
            return Answer::job;
        }
    }
}

}  // namespace longhaul::engine
