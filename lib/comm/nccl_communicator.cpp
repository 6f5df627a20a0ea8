#include "comm/nccl_communicator.hpp"

#include "base/error.hpp"
#include "comm/backoff.hpp"
#include "comm/error.hpp"
#include "comm/nccl_state.hpp"
#include "comm/ordered_sum.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

namespace longhaul::comm {
namespace {

constexpr auto kSetUpLimit = std::chrono::seconds(60);

cudaStream_t cuda(StreamView stream) { return static_cast<cudaStream_t>(stream.native); }

std::int64_t sum(std::span<std::int64_t const> counts) {
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

/// What rank 0 tells the others; a rank that cannot make an id must not leave them waiting for it.
struct Invitation {
    ncclUniqueId id{};
    ncclResult_t result = ncclSuccess;
};

}  // namespace

NcclCommunicator::NcclCommunicator(std::unique_ptr<Communicator> inner, NcclSession::State& session)
    : DeviceCommunicator(std::move(inner)), session_(session) {
    try {
        connect();
        warm_up();
    } catch (NcclError const& error) {
        throw ValidationError(std::string("the GPUs cannot be connected: ") + error.what());
    }
    std::scoped_lock const lock(session_.calls);
    session_.communicators.push_back(native_);
}

// Called for the good path too, where close() has left nothing.
NcclCommunicator::~NcclCommunicator() {
    std::scoped_lock const lock(session_.calls);
    std::erase(session_.communicators, native_);
}

void NcclCommunicator::connect() {
    Invitation invitation;
    if (rank() == 0) {
        invitation.result = session_.nccl.get_unique_id(&invitation.id);
    }
    inner().broadcast(std::as_writable_bytes(std::span(&invitation, 1)), 0);
    check_nccl(invitation.result, nullptr);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    auto const deadline = std::chrono::steady_clock::now() + kSetUpLimit;
    std::scoped_lock const lock(session_.calls);
    ncclResult_t const begun =
        session_.nccl.init_rank(&native_, size(), invitation.id, rank(), &config);
    check_nccl(begun, nullptr);
    session_.settle(native_, begun, &deadline);
}

void NcclCommunicator::warm_up() {
    auto const ranks = static_cast<std::size_t>(size());
    auto memory = std::make_unique<device::Buffer>(&session_.gpu, 2 * size());
    device::fill_zero(&session_.gpu, memory->data(), memory->bytes());
    std::vector<std::int64_t> const one_each(ranks, 1);
    std::span<std::byte> const send(memory->data(), ranks);
    std::span<std::byte> const receive(memory->data() + ranks, ranks);
    StreamView const stream = session_.gpu.stream();
    session_.set_up_until = std::chrono::steady_clock::now() + kSetUpLimit;
    try {
        device_all_to_all(send, one_each, receive, one_each, stream).wait();
        device_all_gather(send.first(1), receive, stream).wait();
        wait_for_first_messages();
    } catch (CommError const&) {
        static_cast<void>(memory.release());  // giving it back would wait for the messages
        throw;
    }
    session_.set_up_until.reset();
}

// A rank that fails in the meantime does not say so to a GPU that waits for it. The run ends then: there is no way out for
// what waits.
void NcclCommunicator::wait_for_first_messages() {
    device::Event ended;
    ended.record(session_.gpu.stream());
    Backoff backoff({.spins = 2000, .yields = 200});
    while (!ended.done()) {
        {
            std::scoped_lock const lock(session_.calls);
            session_.settle(native_, ncclSuccess, &*session_.set_up_until);
        }
        if (std::chrono::steady_clock::now() > *session_.set_up_until) {
            throw PeerFailed(fmt::format(
                "the first messages over NCCL did not arrive within {} s: another rank failed, or "
                "the GPUs do not reach each other (NCCL_DEBUG=INFO may say why)",
                kSetUpLimit.count()));
        }
        backoff.pause();
    }
}

Request NcclCommunicator::device_broadcast(std::span<std::byte> data, int root, StreamView stream) {
    if (!data.empty()) {
        session_.enqueue(native_, stream, [&] {
            return session_.nccl.broadcast(data.data(), data.data(), data.size(), ncclUint8, root,
                                           native_, cuda(stream));
        });
    }
    return {};
}

Request NcclCommunicator::device_all_gather(std::span<std::byte const> mine,
                                            std::span<std::byte> all, StreamView stream) {
    LH_EXPECT(std::ssize(all) == std::ssize(mine) * size());
    if (!mine.empty()) {
        session_.enqueue(native_, stream, [&] {
            return session_.nccl.all_gather(mine.data(), all.data(), mine.size(), ncclUint8,
                                            native_, cuda(stream));
        });
    }
    return {};
}

Request NcclCommunicator::device_all_to_all(std::span<std::byte const> send,
                                            std::span<std::int64_t const> send_bytes,
                                            std::span<std::byte> receive,
                                            std::span<std::int64_t const> receive_bytes,
                                            StreamView stream) {
    LH_EXPECT(std::ssize(send_bytes) == size() && std::ssize(receive_bytes) == size());
    LH_EXPECT(sum(send_bytes) == std::ssize(send) && sum(receive_bytes) == std::ssize(receive));
    if (send.empty() && receive.empty()) {
        return {};
    }
    session_.enqueue(native_, stream, [&] {
        detail::NcclLibrary const& nccl = session_.nccl;
        check_nccl(nccl.group_start(), native_);
        std::byte const* from = send.data();
        std::byte* to = receive.data();
        for (int peer = 0; peer < size(); ++peer) {
            auto const i = static_cast<std::size_t>(peer);
            auto const out = static_cast<std::size_t>(send_bytes[i]);
            auto const in = static_cast<std::size_t>(receive_bytes[i]);
            if (out > 0) {
                check_nccl(nccl.send(from, out, ncclUint8, peer, native_, cuda(stream)), native_);
            }
            if (in > 0) {
                check_nccl(nccl.receive(to, in, ncclUint8, peer, native_, cuda(stream)), native_);
            }
            from += out;
            to += in;
        }
        return nccl.group_end();
    });
    return {};
}

void NcclCommunicator::reserve_sum(std::int64_t count) {
    make_scratch(detail::ordered_sum_scratch_up_to(count, size()));
}

void NcclCommunicator::make_scratch(std::int64_t elements) {
    std::int64_t const needed = elements * static_cast<std::int64_t>(sizeof(float));
    if (needed > scratch_.bytes()) {
        LH_EXPECT(!device::is_capturing(session_.gpu.stream()));
        scratch_ = {};  // waits for the GPU, which may still add in it
        scratch_ = device::Buffer(&session_.gpu, needed);
    }
}

Request NcclCommunicator::device_all_reduce_sum(std::span<float> data, StreamView stream) {
    make_scratch(detail::ordered_sum_scratch(std::ssize(data), size()));
    detail::ordered_sum(
        *this, data,
        {scratch_.as<float>(), static_cast<std::size_t>(scratch_.bytes()) / sizeof(float)}, stream);
    return {};
}

Request NcclCommunicator::device_send(std::span<std::byte const> data, int destination, int /*tag*/,
                                      StreamView stream) {
    if (!data.empty()) {
        session_.enqueue(native_, stream, [&] {
            return session_.nccl.send(data.data(), data.size(), ncclUint8, destination, native_,
                                      cuda(stream));
        });
    }
    return {};
}

Request NcclCommunicator::device_recv(std::span<std::byte> data, int source, int /*tag*/,
                                      StreamView stream) {
    if (!data.empty()) {
        session_.enqueue(native_, stream, [&] {
            return session_.nccl.receive(data.data(), data.size(), ncclUint8, source, native_,
                                         cuda(stream));
        });
    }
    return {};
}

void NcclCommunicator::graph_launched() { session_.mark(session_.gpu.stream()); }

void NcclCommunicator::progress() {
    inner().progress();
    session_.mark_now_and_then();
}

std::unique_ptr<Communicator> NcclCommunicator::beside(std::unique_ptr<Communicator> inner) {
    return std::make_unique<NcclCommunicator>(std::move(inner), session_);
}

void NcclCommunicator::close() {
    auto const deadline = std::chrono::steady_clock::now() + kSetUpLimit;
    {
        std::scoped_lock const lock(session_.calls);
        session_.settle(native_, session_.nccl.finalize(native_), &deadline);
        std::erase(session_.communicators, native_);
        check_nccl(session_.nccl.destroy(std::exchange(native_, nullptr)), nullptr);
    }
    inner().close();
}

}  // namespace longhaul::comm
