#include "io/queue_split_plan.hpp"

#include "base/error.hpp"
#include "io/document.hpp"
#include "io/job_hash.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <string_view>
#include <utility>

namespace longhaul::io {
namespace {

constexpr std::int64_t kBytesPerToken = 4;

std::string key_of(Job const& job) {
    if (job.path) return "path " + job.path->string();
    if (job.text) return "text " + line_hash(*job.text);
    auto const* const bytes = reinterpret_cast<char const*>(job.token_ids->data());
    return "ids " + line_hash(std::string_view(bytes, job.token_ids->size() * sizeof(TokenId)));
}

std::int64_t bytes_of(Job const& job) {
    if (job.token_ids) return kBytesPerToken * static_cast<std::int64_t>(job.token_ids->size());
    auto const size = document_bytes(job);
    auto const* const bytes = std::get_if<std::int64_t>(&size);
    return bytes == nullptr ? 0 : *bytes;
}

std::int64_t generated_bytes(Job const& job) {
    return job.kind == JobKind::score ? 0 : kBytesPerToken * job.sampling.max_tokens;
}

}  // namespace

void SplitPlan::add(std::int64_t line_number, Job const* job) {
    auto const fresh = num_documents();
    // A line that is no job stands for itself.
    auto const [place, is_new] = by_key_.try_emplace(
        job == nullptr ? "line " + std::to_string(line_number) : key_of(*job), fresh);
    if (is_new) {
        Document& document = documents_.emplace_back();
        document.bytes = job == nullptr ? 0 : bytes_of(*job);
        document.weight += document.bytes;
    }
    if (job != nullptr) {
        documents_[static_cast<std::size_t>(place->second)].weight += generated_bytes(*job);
    }
    lines_.push_back({line_number, place->second, job != nullptr});
}

void SplitPlan::assign(std::int64_t parts) {
    LH_EXPECT(parts >= 1 && parts <= num_documents());
    std::vector<std::size_t> order(documents_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return documents_[a].weight > documents_[b].weight;
    });
    using Load = std::pair<std::int64_t, std::int64_t>;  // weight so far, part
    std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
    for (std::int64_t part = 0; part < parts; ++part) loads.emplace(0, part);
    for (std::size_t const document : order) {
        auto const [weight, part] = loads.top();
        loads.pop();
        documents_[document].part = part;
        loads.emplace(weight + documents_[document].weight, part);
    }
}

}  // namespace longhaul::io
