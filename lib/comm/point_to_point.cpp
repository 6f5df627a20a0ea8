#include "comm/point_to_point.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/range.hpp"
#include "comm/reduce.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

namespace longhaul::comm {
namespace {

// Up to this many bytes per rank a sum takes one round trip in which everybody gets everything; above it, two rounds that
// move less. Both add in the same order.
constexpr std::size_t kSumByGatherBytes = 16384;

std::span<std::byte> piece_of(std::span<std::byte> all, int index, std::size_t size) {
    return all.subspan(static_cast<std::size_t>(index) * size, size);
}

void copy_bytes(std::span<std::byte const> from, std::span<std::byte> to) {
    if (!from.empty() && from.data() != to.data()) {
        std::memcpy(to.data(), from.data(), from.size());
    }
}

std::int64_t total(std::span<std::int64_t const> sizes) {
    return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
}

// Memory that several stages of one operation share.
std::shared_ptr<float[]> scratch_floats(std::size_t count) {
    return std::shared_ptr<float[]>(std::make_unique_for_overwrite<float[]>(count));
}

}  // namespace

Request PointToPointCommunicator::isend(std::span<std::byte const> data, int destination, int tag,
                                        StreamView stream) {
    LH_EXPECT(stream.native == nullptr);
    check_peer(destination);
    check_tag(tag);
    return post_send(data, destination, tag);
}

Request PointToPointCommunicator::irecv(std::span<std::byte> data, int source, int tag,
                                        StreamView stream) {
    LH_EXPECT(stream.native == nullptr);
    check_peer(source);
    check_tag(tag);
    return post_receive(data, source, tag);
}

void PointToPointCommunicator::progress() {
    progress_transport();
    // By index over a copy: an operation that ends leaves the list.
    auto const unfinished = unfinished_;
    for (auto* operation : unfinished) {
        operation->test();
    }
}

// Dissemination: in round k every rank tells the one 2^k ahead, so after log2(size) rounds all have heard from all.
void PointToPointCommunicator::barrier() {
    int const tag = next_collective_tag();
    std::vector<Stage> stages;
    for (int distance = 1; distance < size(); distance *= 2) {
        stages.emplace_back([this, distance, tag](std::vector<Request>& pending) {
            pending.push_back(post_send({}, (rank() + distance) % size(), tag));
            pending.push_back(post_receive({}, (rank() - distance + size()) % size(), tag));
        });
    }
    start(std::move(stages)).wait();
}

// Binomial tree over the ranks counted from the root.
Request PointToPointCommunicator::ibroadcast(std::span<std::byte> data, int root,
                                             StreamView stream) {
    LH_EXPECT(stream.native == nullptr);
    check_peer(root);
    int const tag = next_collective_tag();
    if (size() == 1 || data.empty()) {
        return {};
    }
    int const place = (rank() - root + size()) % size();
    int reach = 1;  // the lowest bit of `place`: children stand at smaller powers of two
    while (reach < size() && (place & reach) == 0) {
        reach *= 2;
    }
    auto const rank_at = [root, ranks = size()](int at) { return (at + root) % ranks; };
    std::vector<Stage> stages;
    if (place != 0) {
        stages.emplace_back(
            [this, data, tag, parent = rank_at(place - reach)](std::vector<Request>& pending) {
                pending.push_back(post_receive(data, parent, tag));
            });
    }
    stages.emplace_back([this, data, tag, place, reach, rank_at](std::vector<Request>& pending) {
        for (int step = reach / 2; step > 0; step /= 2) {
            if (place + step < size()) {
                pending.push_back(post_send(data, rank_at(place + step), tag));
            }
        }
    });
    return start(std::move(stages));
}

Request PointToPointCommunicator::iall_gather(std::span<std::byte const> mine,
                                              std::span<std::byte> all, StreamView stream) {
    LH_EXPECT(stream.native == nullptr);
    LH_EXPECT(all.size() == mine.size() * static_cast<std::size_t>(size()));
    int const tag = next_collective_tag();
    if (mine.empty()) {
        return {};
    }
    copy_bytes(mine, piece_of(all, rank(), mine.size()));
    return start({[this, mine, all, tag](std::vector<Request>& pending) {
        exchange_with_all(mine, all, tag, pending);
    }});
}

Request PointToPointCommunicator::iall_to_all(std::span<std::byte const> send,
                                              std::span<std::int64_t const> send_bytes,
                                              std::span<std::byte> receive,
                                              std::span<std::int64_t const> receive_bytes,
                                              StreamView stream) {
    LH_EXPECT(stream.native == nullptr);
    LH_EXPECT(std::ssize(send_bytes) == size() && std::ssize(receive_bytes) == size());
    LH_EXPECT(total(send_bytes) == std::ssize(send) && total(receive_bytes) == std::ssize(receive));
    auto const own = static_cast<std::size_t>(rank());
    LH_EXPECT(send_bytes[own] == receive_bytes[own]);
    int const tag = next_collective_tag();
    return start({[=, this](std::vector<Request>& pending) {
        std::span<std::byte> into = receive;
        for (int peer = 0; peer < size(); ++peer) {
            auto const bytes =
                checked_cast<std::size_t>(receive_bytes[static_cast<std::size_t>(peer)]);
            if (bytes > 0 && peer != rank()) {
                pending.push_back(post_receive(into.first(bytes), peer, tag));
            }
            into = into.subspan(bytes);
        }
        std::span<std::byte const> from = send;
        std::int64_t const before_own = total(receive_bytes.first(own));
        for (int peer = 0; peer < size(); ++peer) {
            auto const bytes =
                checked_cast<std::size_t>(send_bytes[static_cast<std::size_t>(peer)]);
            if (peer == rank()) {
                copy_bytes(from.first(bytes),
                           receive.subspan(static_cast<std::size_t>(before_own), bytes));
            } else if (bytes > 0) {
                pending.push_back(post_send(from.first(bytes), peer, tag));
            }
            from = from.subspan(bytes);
        }
    }});
}

void PointToPointCommunicator::all_reduce(std::span<std::int64_t> data, ReduceOp op) {
    std::vector<std::int64_t> all(data.size() * static_cast<std::size_t>(size()));
    all_gather(std::as_bytes(data), std::as_writable_bytes(std::span(all)));
    auto const row = [&](int peer) {
        return std::span<std::int64_t const>(all).subspan(
            static_cast<std::size_t>(peer) * data.size(), data.size());
    };
    std::ranges::copy(row(0), data.begin());
    for (int peer = 1; peer < size(); ++peer) {
        detail::reduce_into(data, row(peer), op);
    }
}

Request PointToPointCommunicator::iall_reduce_sum(std::span<float> data, StreamView stream) {
    LH_EXPECT(stream.native == nullptr);
    if (size() == 1 || data.empty()) {
        return {};
    }
    return data.size_bytes() <= kSumByGatherBytes ? sum_by_gather(data) : sum_by_pieces(data);
}

Request PointToPointCommunicator::sum_by_gather(std::span<float> data) {
    int const tag = next_collective_tag();
    auto const rows = scratch_floats(data.size() * static_cast<std::size_t>(size()));
    Stage gather = [this, data, rows, tag](std::vector<Request>& pending) {
        std::span<float> const all(rows.get(), data.size() * static_cast<std::size_t>(size()));
        exchange_with_all(std::as_bytes(data), std::as_writable_bytes(all), tag, pending);
    };
    Stage sum = [this, data, rows](std::vector<Request>& /*pending*/) {
        std::vector<float const*> row(static_cast<std::size_t>(size()));
        for (std::size_t peer = 0; peer < row.size(); ++peer) {
            row[peer] = rows.get() + peer * data.size();
        }
        row[static_cast<std::size_t>(rank())] = data.data();
        detail::sum_in_rank_order(row, data);
    };
    return start({std::move(gather), std::move(sum)});
}

// Reduce-scatter, then all-gather: rank r sums piece r of everybody and passes the sum on.
Request PointToPointCommunicator::sum_by_pieces(std::span<float> data) {
    int const tag = next_collective_tag();
    auto const piece = [data, ranks = size()](int owner) {
        Range const range = split_range(std::ssize(data), ranks, owner);
        return data.subspan(static_cast<std::size_t>(range.begin),
                            static_cast<std::size_t>(range.size()));
    };
    std::size_t const own_size = piece(rank()).size();
    auto const rows = scratch_floats(own_size * static_cast<std::size_t>(size()));
    auto const row = [rows, own_size](int peer) {
        return rows.get() + static_cast<std::size_t>(peer) * own_size;
    };

    Stage scatter = [=, this](std::vector<Request>& pending) {
        for (int peer = 0; peer < size(); ++peer) {
            if (peer != rank() && own_size > 0) {
                pending.push_back(post_receive(
                    std::as_writable_bytes(std::span(row(peer), own_size)), peer, tag));
            }
        }
        for (int peer = 0; peer < size(); ++peer) {
            if (peer != rank() && !piece(peer).empty()) {
                pending.push_back(post_send(std::as_bytes(piece(peer)), peer, tag));
            }
        }
    };
    Stage sum_and_gather = [=, this](std::vector<Request>& pending) {
        std::vector<float const*> own_rows(static_cast<std::size_t>(size()));
        for (int peer = 0; peer < size(); ++peer) {
            own_rows[static_cast<std::size_t>(peer)] =
                peer == rank() ? piece(peer).data() : row(peer);
        }
        detail::sum_in_rank_order(own_rows, piece(rank()));
        for (int peer = 0; peer < size(); ++peer) {
            if (peer != rank() && !piece(peer).empty()) {
                pending.push_back(post_receive(std::as_writable_bytes(piece(peer)), peer, tag));
            }
        }
        for (int peer = 0; peer < size(); ++peer) {
            if (peer != rank() && own_size > 0) {
                pending.push_back(post_send(std::as_bytes(piece(rank())), peer, tag));
            }
        }
    };
    return start({std::move(scatter), std::move(sum_and_gather)});
}

void PointToPointCommunicator::exchange_with_all(std::span<std::byte const> mine,
                                                 std::span<std::byte> all, int tag,
                                                 std::vector<Request>& pending) {
    for (int peer = 0; peer < size(); ++peer) {
        if (peer != rank()) {
            pending.push_back(post_receive(piece_of(all, peer, mine.size()), peer, tag));
        }
    }
    for (int peer = 0; peer < size(); ++peer) {
        if (peer != rank()) {
            pending.push_back(post_send(mine, peer, tag));
        }
    }
}

Request PointToPointCommunicator::start(std::vector<Stage> stages) {
    return Request(std::make_unique<detail::StagedOperation>(std::move(stages), unfinished_));
}

int PointToPointCommunicator::next_collective_tag() {
    collectives_started_ = (collectives_started_ + 1) % kTagLimit;
    return kTagLimit + collectives_started_;
}

void PointToPointCommunicator::check_peer(int peer) const { LH_EXPECT(peer >= 0 && peer < size()); }

void PointToPointCommunicator::check_tag(int tag) { LH_EXPECT(tag >= 0 && tag < kTagLimit); }

}  // namespace longhaul::comm
