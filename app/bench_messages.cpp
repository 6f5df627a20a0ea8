#include "app/bench_messages.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "device/buffer.hpp"
#include "device/error.hpp"
#include "comm/agree.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <string>

namespace longhaul::app {
namespace {

using Clock = std::chrono::steady_clock;

enum class Operation { all_reduce_sum, all_to_all, all_gather, broadcast, send_recv };
constexpr std::array kOperations{Operation::all_reduce_sum, Operation::all_to_all,
                                 Operation::all_gather, Operation::broadcast, Operation::send_recv};

constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
/// Of a piece, so that all pieces are aligned for a GPU.
constexpr std::int64_t kUnit = 16;

char const* name_of(Operation operation) {
    constexpr std::array kNames{"all_reduce_sum", "all_to_all", "all_gather", "broadcast",
                                "send_recv"};
    return kNames[static_cast<std::size_t>(operation)];
}

/// Bytes that pass a rank's link at best, per byte of the message, as nccl-tests count them.
double bus_share(Operation operation, int ranks) {
    double const others = static_cast<double>(ranks - 1) / ranks;
    switch (operation) {
        case Operation::all_reduce_sum:
            return 2.0 * others;
        case Operation::all_to_all:
        case Operation::all_gather:
            return others;
        case Operation::broadcast:
        case Operation::send_recv:
            break;
    }
    return 1.0;
}

/// What messages hold: element i is element i modulo the table's prime length, so that a piece in a wrong place is noticed.
using Table = std::vector<float>;
constexpr std::size_t kPeriod = 8191;

Table table_of(int rank) {
    std::mt19937 generator(static_cast<std::mt19937::result_type>(rank + 1));
    Table table(kPeriod);
    for (float& value : table) {
        value = static_cast<float>(generator() >> 8) * 0x1p-23F - 1.0F;
    }
    return table;
}

/// In the order that Communicator::all_reduce_sum promises.
Table sum_of_tables(int ranks) {
    Table sum = table_of(0);
    for (int rank = 1; rank < ranks; ++rank) {
        Table const table = table_of(rank);
        std::transform(sum.begin(), sum.end(), table.begin(), sum.begin(), std::plus<>());
    }
    return sum;
}

/// The buffers of one size on this rank. Every operation leaves its result in the second one.
class Messages {
  public:
    Messages(comm::Communicator& group, device::Gpu const* gpu, std::int64_t bytes)
        : group_(group),
          gpu_(gpu),
          stream_(gpu != nullptr ? gpu->stream() : StreamView{}),
          piece_(bytes / group.size()),
          pieces_(static_cast<std::size_t>(group.size()), piece_) {
        LH_EXPECT(bytes == piece_ * group.size() && piece_ % kFloat == 0);
        try {
            from_ = device::Buffer(gpu, bytes);
            to_ = device::Buffer(gpu, bytes);
            host_.resize(static_cast<std::size_t>(bytes / kFloat));
        } catch (device::OutOfDeviceMemory const& failure) {
            throw ValidationError(fmt::format("{}; use smaller --bytes", failure.what()));
        } catch (std::bad_alloc const&) {
            throw ValidationError(
                fmt::format("no memory for messages of {} bytes; use smaller --bytes", bytes));
        }
    }

    /// Puts numbers of this rank's own where the operation takes them from, zeros where it brings some.
    void prepare(Operation operation) {
        Table const mine = table_of(group_.rank());
        fill(from_, mine);
        if (operation == Operation::all_reduce_sum ||
            (operation == Operation::broadcast && group_.rank() == 0)) {
            fill(to_, mine);
        } else {
            clear();
        }
    }
    /// From then on sums stay finite, however often they are made.
    void clear() { device::fill_zero(gpu_, to_.data(), to_.bytes()); }

    void call(Operation operation) {
        std::span<std::byte const> const from(from_.data(), host_.size() * sizeof(float));
        std::span<std::byte> const to(to_.data(), from.size());
        switch (operation) {
            case Operation::all_reduce_sum:
                group_.all_reduce_sum({to_.as<float>(), host_.size()}, stream_);
                return;
            case Operation::all_to_all:
                group_.all_to_all(from, pieces_, to, pieces_, stream_);
                return;
            case Operation::all_gather:
                group_.all_gather(from.first(static_cast<std::size_t>(piece_)), to, stream_);
                return;
            case Operation::broadcast:
                group_.broadcast(to, 0, stream_);
                return;
            case Operation::send_recv:
                there_and_back(from, to);
                return;
        }
    }

    /// Throws WrongMessage.
    void check(Operation operation) {
        device::download(gpu_, host_.data(), to_.data(), to_.bytes());
        auto const per_piece = static_cast<std::size_t>(piece_ / kFloat);
        int const ranks = group_.size();
        switch (operation) {
            case Operation::all_reduce_sum:
                expect(operation, 0, ranks, sum_of_tables(ranks));
                return;
            case Operation::all_to_all:
                for (int rank = 0; rank < ranks; ++rank) {
                    expect(operation, rank, 1, table_of(rank),
                           static_cast<std::size_t>(group_.rank()) * per_piece);
                }
                return;
            case Operation::all_gather:
                for (int rank = 0; rank < ranks; ++rank) {
                    expect(operation, rank, 1, table_of(rank));
                }
                return;
            case Operation::broadcast:
                expect(operation, 0, ranks, table_of(0));
                return;
            case Operation::send_recv:
                if (group_.rank() < 2) {
                    expect(operation, 0, ranks, table_of(0));
                }
                return;
        }
    }

    /// Seconds from a barrier until the slowest rank has ended `calls` of them.
    double time(Operation operation, int calls) {
        synchronize();
        group_.barrier();
        Clock::time_point const begin = Clock::now();
        for (int i = 0; i < calls; ++i) {
            call(operation);
        }
        synchronize();
        std::array<std::int64_t, 1> ns{std::chrono::nanoseconds(Clock::now() - begin).count()};
        group_.all_reduce(ns, comm::ReduceOp::max);
        return static_cast<double>(ns[0]) * 1e-9;
    }

  private:
    void there_and_back(std::span<std::byte const> from, std::span<std::byte> to) {
        constexpr int kTag = 1;
        if (group_.rank() == 0) {
            group_.send(from, 1, kTag, stream_);
            group_.recv(to, 1, kTag, stream_);
        } else if (group_.rank() == 1) {
            group_.recv(to, 0, kTag, stream_);
            group_.send(to, 0, kTag, stream_);
        }
    }
    void synchronize() {
        if (gpu_ != nullptr) {
            gpu_->synchronize();
        }
    }
    void fill(device::Buffer const& buffer, Table const& table) {
        for (std::size_t i = 0; i < host_.size(); i += kPeriod) {
            std::copy_n(table.begin(), std::min(kPeriod, host_.size() - i),
                        host_.begin() + static_cast<std::ptrdiff_t>(i));
        }
        device::upload(gpu_, buffer.data(), host_.data(), buffer.bytes());
    }
    /// `count` pieces from number `first` on are `table` from element `offset` on.
    void expect(Operation operation, int first, int count, Table const& table,
                std::size_t offset = 0) const {
        auto const per_piece = static_cast<std::size_t>(piece_ / kFloat);
        std::size_t const begin = static_cast<std::size_t>(first) * per_piece;
        std::size_t const end = begin + static_cast<std::size_t>(count) * per_piece;
        std::size_t next = offset % kPeriod;
        for (std::size_t i = begin; i < end; ++i) {
            if (host_[i] != table[next]) {
                throw WrongMessage(fmt::format(
                    "{} of {} bytes over {}: element {} is {} and should be {}; do not trust "
                    "runs on these machines before this is found",
                    name_of(operation), to_.bytes(), group_.name(), i, host_[i], table[next]));
            }
            next = next + 1 == kPeriod ? 0 : next + 1;
        }
    }

    comm::Communicator& group_;
    device::Gpu const* gpu_;
    StreamView stream_;
    std::int64_t piece_;
    std::vector<std::int64_t> pieces_;
    device::Buffer from_, to_;
    std::vector<float> host_;
};

/// Seconds of a call, `repeat` times. A barrier lets ranks go some microseconds apart: short calls run back to back for long
/// enough to make little of that. All ranks count alike, since they time alike.
std::vector<double> measure(Messages& messages, Operation operation, int repeat) {
    constexpr double kLongEnough = 5e-3;
    static_cast<void>(messages.time(operation, 1));
    double const one = std::max(messages.time(operation, 1), 1e-9);
    int const calls = static_cast<int>(std::clamp(std::ceil(kLongEnough / one), 1.0, 1000.0));
    int const messages_a_call = operation == Operation::send_recv ? 2 : 1;
    std::vector<double> seconds;
    seconds.reserve(static_cast<std::size_t>(repeat));
    for (int i = 0; i < repeat; ++i) {
        seconds.push_back(messages.time(operation, calls) / (calls * messages_a_call));
    }
    return seconds;
}

void check_once(comm::Communicator& group, Messages& messages, Operation operation) {
    messages.prepare(operation);
    messages.call(operation);
    try {
        comm::agree_on(group, [&] { messages.check(operation); });
    } catch (SetupFailed const& failure) {
        throw WrongMessage(failure.what());
    }
    messages.clear();
}

}  // namespace

std::vector<BenchRow> bench_messages(comm::Communicator& group, device::Gpu const* gpu,
                                     std::vector<std::int64_t> const& sizes, int repeat) {
    LH_EXPECT(group.size() >= 2);
    std::vector<BenchRow> rows;
    for (std::int64_t const size : sizes) {
        std::int64_t const bytes = round_up(size, kUnit * group.size());
        std::unique_ptr<Messages> messages;
        comm::agree_on(group, [&] { messages = std::make_unique<Messages>(group, gpu, bytes); });
        for (Operation const operation : kOperations) {
            check_once(group, *messages, operation);
            std::vector<double> const seconds = measure(*messages, operation, repeat);
            double const median = quantile(seconds, 0.5);
            double const rate = static_cast<double>(bytes) / median * 1e-9;
            rows.push_back({{"operation", name_of(operation)},
                            {"ranks", group.size()},
                            {"transport", group.name()},
                            {"bytes", bytes},
                            {"median_us", median * 1e6},
                            {"p90_us", quantile(seconds, 0.9) * 1e6},
                            {"algorithm_gb_per_s", rate},
                            {"bus_gb_per_s", rate * bus_share(operation, group.size())}});
        }
    }
    return rows;
}

}  // namespace longhaul::app
