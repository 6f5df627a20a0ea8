#include "comm/modelled_communicator.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "device/delay.hpp"
#include "comm/error.hpp"
#include "comm/ordered_sum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <random>
#include <vector>

namespace longhaul::comm {
namespace {

constexpr std::int64_t kNoiseFloats = std::int64_t{1} << 20;
constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));

std::int64_t sum(std::span<std::int64_t const> counts) {
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

/// Zeros would do, but chips are faster with them.
std::span<float const> noise() {
    static std::vector<float> const values = [] {
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        std::vector<float> list(kNoiseFloats);
        std::generate(list.begin(), list.end(), [&] { return normal(random); });
        return list;
    }();
    return values;
}

}  // namespace

ModelledCommunicator::ModelledCommunicator(std::int64_t rank, std::int64_t size, LinkModel link,
                                           device::Gpu const* gpu)
    : rank_(checked_cast<int>(rank)), size_(checked_cast<int>(size)), link_(link), gpu_(gpu) {
    LH_EXPECT(rank >= 0 && rank < size && link.latency_s >= 0.0 && link.bytes_per_s > 0.0);
}

std::string ModelledCommunicator::name() const {
    return fmt::format("modelled: {:.1f} us, {:.0f} GB/s", link_.latency_s * 1e6,
                       link_.bytes_per_s * 1e-9);
}

void ModelledCommunicator::reserve_sum(std::int64_t count) {
    if (gpu_ != nullptr && size_ > 1) {
        make_scratch(detail::ordered_sum_scratch_up_to(count, size_));
    }
}

void ModelledCommunicator::make_scratch(std::int64_t elements) {
    std::int64_t const needed = elements * kFloat;
    if (needed > scratch_.bytes()) {
        LH_EXPECT(!device::is_capturing(gpu_->stream()));
        scratch_ = {};  // waits for the GPU, which may still add in it
        scratch_ = device::Buffer(gpu_, needed);
    }
}

void ModelledCommunicator::all_reduce(std::span<std::int64_t> data, ReduceOp op) {
    if (op == ReduceOp::sum) {
        for (std::int64_t& value : data) {
            value *= size_;
        }
    }
}

Request ModelledCommunicator::ibroadcast(std::span<std::byte> data, int root, StreamView stream) {
    transfer(std::ssize(data), stream);
    if (root != rank_) {
        fill(data, stream);
    }
    return {};
}

Request ModelledCommunicator::iall_gather(std::span<std::byte const> mine, std::span<std::byte> all,
                                          StreamView stream) {
    LH_EXPECT(std::ssize(all) == std::ssize(mine) * size_);
    transfer(std::ssize(mine) * (size_ - 1), stream);
    for (int peer = 0; peer < size_; ++peer) {
        std::byte* const to = all.data() + peer * std::ssize(mine);
        if (to != mine.data()) {
            device::copy(to, mine.data(), std::ssize(mine), stream);
        }
    }
    return {};
}

Request ModelledCommunicator::iall_to_all(std::span<std::byte const> send,
                                          std::span<std::int64_t const> send_bytes,
                                          std::span<std::byte> receive,
                                          std::span<std::int64_t const> receive_bytes,
                                          StreamView stream) {
    LH_EXPECT(std::ssize(send_bytes) == size_ && std::ssize(receive_bytes) == size_);
    LH_EXPECT(sum(send_bytes) == std::ssize(send) && sum(receive_bytes) == std::ssize(receive));
    auto const me = static_cast<std::size_t>(rank_);
    LH_EXPECT(send_bytes[me] == receive_bytes[me]);
    transfer(std::max(std::ssize(send) - send_bytes[me], std::ssize(receive) - receive_bytes[me]),
             stream);
    std::byte const* const own = send.data() + sum(send_bytes.first(me));
    std::byte* to = receive.data();
    for (std::int64_t const bytes : receive_bytes) {
        std::int64_t const common = std::min(bytes, send_bytes[me]);
        device::copy(to, own, common, stream);
        fill({to + common, static_cast<std::size_t>(bytes - common)}, stream);
        to += bytes;
    }
    return {};
}

Request ModelledCommunicator::iall_reduce_sum(std::span<float> data, StreamView stream) {
    if (size_ == 1 || data.empty()) {
        return {};
    }
    if (stream.native != nullptr) {
        make_scratch(detail::ordered_sum_scratch(std::ssize(data), size_));
        detail::ordered_sum(
            *this, data,
            {scratch_.as<float>(), static_cast<std::size_t>(scratch_.bytes() / kFloat)}, stream);
        return {};
    }
    // Two hops, in each of which all pieces but the own one travel.
    std::int64_t const bytes = std::ssize(data) * kFloat / size_ * (size_ - 1);
    transfer(bytes, stream);
    transfer(bytes, stream);
    for (float& value : data) {
        value *= static_cast<float>(size_);
    }
    return {};
}

Request ModelledCommunicator::isend(std::span<std::byte const> data, int /*destination*/,
                                    int /*tag*/, StreamView stream) {
    transfer(std::ssize(data), stream);
    return {};
}

Request ModelledCommunicator::irecv(std::span<std::byte> data, int /*source*/, int /*tag*/,
                                    StreamView stream) {
    transfer(std::ssize(data), stream);
    fill(data, stream);
    return {};
}

std::optional<Message> ModelledCommunicator::try_receive(int /*source*/, int /*tag*/) {
    return std::nullopt;
}

Message ModelledCommunicator::receive(int /*source*/, int /*tag*/) {
    throw ProtocolError("a modelled rank has no peers that send control messages");
}

std::unique_ptr<Communicator> ModelledCommunicator::split(int /*color*/, int /*key*/) {
    throw ProtocolError("a modelled group cannot be split: its other ranks cannot choose");
}

std::unique_ptr<Communicator> ModelledCommunicator::duplicate() {
    return std::make_unique<ModelledCommunicator>(rank_, size_, link_, gpu_);
}

void ModelledCommunicator::transfer(std::int64_t bytes, StreamView stream) const {
    if (size_ > 1 && bytes > 0) {
        device::delay(link_.seconds(bytes), stream);
    }
}

void ModelledCommunicator::fill(std::span<std::byte> data, StreamView stream) {
    if (data.empty()) {
        return;
    }
    std::byte const* from = std::as_bytes(noise()).data();
    if (stream.native != nullptr) {
        if (noise_.bytes() == 0) {
            noise_ = device::Buffer(gpu_, kNoiseFloats * kFloat);
            device::upload(gpu_, noise_.data(), from, noise_.bytes());
        }
        from = noise_.data();
    }
    constexpr std::int64_t kBytes = kNoiseFloats * kFloat;
    for (std::int64_t done = 0; done < std::ssize(data); done += kBytes) {
        device::copy(data.data() + done, from, std::min(kBytes, std::ssize(data) - done), stream);
    }
}

}  // namespace longhaul::comm
