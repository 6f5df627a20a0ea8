#include "comm/ordered_sum.hpp"

#include "base/error.hpp"
#include "device/buffer.hpp"
#include "device/sum_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

namespace longhaul::comm::detail {
namespace {

// Up to here one round trip is worth more than the bytes.
constexpr std::int64_t kGatherAllBytes = 64 << 10;
constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));

constexpr std::int64_t kLongestShort = kGatherAllBytes / kFloat;

bool is_short(std::int64_t count) { return count <= kLongestShort; }
std::int64_t piece_size(std::int64_t count, int ranks) { return (count + ranks - 1) / ranks; }

void sum_in_pieces(Communicator& group, std::span<float> data, std::span<float> scratch,
                   StreamView stream) {
    auto const count = static_cast<std::int64_t>(data.size());
    auto const ranks = static_cast<std::size_t>(group.size());
    std::int64_t const piece = piece_size(count, group.size());
    auto const begin_of = [&](std::int64_t rank) { return std::min(rank * piece, count); };
    std::int64_t const me = group.rank();
    std::int64_t const mine = begin_of(me + 1) - begin_of(me);
    std::vector<std::int64_t> send_bytes(ranks);
    std::vector<std::int64_t> const receive_bytes(ranks, mine * kFloat);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
        auto const r = static_cast<std::int64_t>(rank);
        send_bytes[rank] = (begin_of(r + 1) - begin_of(r)) * kFloat;
    }
    auto const received = scratch.first(ranks * static_cast<std::size_t>(mine));
    group.all_to_all(std::as_bytes(data), send_bytes, std::as_writable_bytes(received),
                     receive_bytes, stream);

    // The last pieces are shorter where the cut is uneven; then the sums are gathered beside the message.
    auto const whole = ranks * static_cast<std::size_t>(piece);
    bool const even = whole == data.size();
    std::span<float> const gathered = even ? data : scratch.subspan(whole, whole);
    std::span<float> const own =
        gathered.subspan(static_cast<std::size_t>(me * piece), static_cast<std::size_t>(piece));
    device::sum_rows(received.data(), mine, group.size(), own.data(), mine, stream);
    group.all_gather(std::as_bytes(own), std::as_writable_bytes(gathered), stream);
    if (!even) {
        device::copy(data.data(), gathered.data(), count * kFloat, stream);
    }
}

}  // namespace

std::int64_t ordered_sum_scratch(std::int64_t count, int ranks) {
    if (is_short(count)) {
        return count * ranks;
    }
    std::int64_t const whole = piece_size(count, ranks) * ranks;
    return whole == count ? whole : 2 * whole;
}

std::int64_t ordered_sum_scratch_up_to(std::int64_t count, int ranks) {
    std::int64_t const gathered = std::min(count, kLongestShort) * ranks;
    return is_short(count) ? gathered : std::max(gathered, 2 * piece_size(count, ranks) * ranks);
}

void ordered_sum(Communicator& group, std::span<float> data, std::span<float> scratch,
                 StreamView stream) {
    LH_EXPECT(std::ssize(scratch) >= ordered_sum_scratch(std::ssize(data), group.size()));
    if (data.empty() || group.size() == 1) {
        return;
    }
    if (!is_short(std::ssize(data))) {
        sum_in_pieces(group, data, scratch, stream);
        return;
    }
    auto const all = scratch.first(data.size() * static_cast<std::size_t>(group.size()));
    group.all_gather(std::as_bytes(data), std::as_writable_bytes(all), stream);
    device::sum_rows(all.data(), std::ssize(data), group.size(), data.data(), std::ssize(data),
                     stream);
}

}  // namespace longhaul::comm::detail
