#pragma once

#include "base/stream.hpp"
#include "comm/request.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace longhaul::comm {

struct Message {
    int source = 0;
    std::vector<std::byte> data;
};

enum class ReduceOp { sum, min, max };

inline constexpr int kAnySource = -1;
/// Tags of point-to-point messages are in [0, kTagLimit).
inline constexpr int kTagLimit = 1 << 20;

/// A group of ranks that exchange messages; one transport (MPI, loopback) stands behind it.
///
/// Order       Operations are stream-ordered; on the CPU that means: done when a blocking form returns, or when the request
///             of a non-blocking form is done. With a stream that may be when it is enqueued: buffers are then reused or read
///             by work of the same stream only.
/// Memory      Without a stream, data are host memory; with one, they are the memory of the stream's device, and the
///             communicator has to be one that carries it (ProcessGrid::use_gpu).
/// Collective  Every collective is called by all ranks of the communicator in the same order. Several non-blocking ones
///             may be pending at a time; they may be waited for in any order.
/// Threads     One thread at a time per communicator; several threads may use different communicators at the same time.
/// Waiting     Every blocking call backs off to sleep, so waiting ranks leave the cores to working ones.
/// Errors      CommError (MpiError, PeerFailed, ProtocolError): the group is unusable from then on.
class Communicator {
  public:
    Communicator() = default;
    Communicator(Communicator const&) = delete;
    Communicator& operator=(Communicator const&) = delete;
    /// Not collective and waits for nobody; see close().
    virtual ~Communicator() = default;

    [[nodiscard]] virtual int rank() const = 0;
    [[nodiscard]] virtual int size() const = 0;
    /// For people: "mpi", "loopback", and what carries device memory beside or over it.
    [[nodiscard]] virtual std::string name() const = 0;
    /// Whether operations may be recorded into a CUDA graph.
    [[nodiscard]] virtual bool capturable() const { return false; }
    /// Whether those of several such groups may be in one graph.
    [[nodiscard]] virtual bool capturable_together() const { return false; }
    /// Takes the memory that sums of up to `count` elements on a stream need. Not collective. Without it the first such sum takes
    /// it, which must not happen while a graph is recorded, nor between two launches of one.
    virtual void reserve_sum(std::int64_t /*count*/) {}

    /// A graph with operations of this group in it was launched: who watches over the group counts it as this rank's work.
    virtual void graph_launched() {}

    // --- Collectives ---------------------------------------------------------------------------------------------

    virtual void barrier() = 0;
    /// Same size on every rank.
    void broadcast(std::span<std::byte> data, int root, StreamView stream = {});
    /// `all` holds size() pieces as long as `mine`, in rank order; `mine` may be this rank's piece of `all`.
    void all_gather(std::span<std::byte const> mine, std::span<std::byte> all,
                    StreamView stream = {});
    /// Piece r of `send` goes to rank r, piece r of `receive` comes from rank r. Pieces are contiguous in rank order, their
    /// sizes are given per rank and may be zero; what r sends here equals receive_bytes[r]. The buffers do not overlap.
    void all_to_all(std::span<std::byte const> send, std::span<std::int64_t const> send_bytes,
                    std::span<std::byte> receive, std::span<std::int64_t const> receive_bytes,
                    StreamView stream = {});
    /// Element-wise sum in place, same size on every rank. Every element is added in rank order 0, 1, ..., so the bits
    /// depend only on the inputs: not on the length, the position in the message or the transport, and all ranks get the same.
    void all_reduce_sum(std::span<float> data, StreamView stream = {});
    /// Element-wise reduction in place, same size on every rank. For counters and decisions, not for large data.
    virtual void all_reduce(std::span<std::int64_t> data, ReduceOp op) = 0;

    // Non-blocking forms: buffers stay untouched until the request is done; the spans of counts are read at once.
    [[nodiscard]] virtual Request ibroadcast(std::span<std::byte> data, int root,
                                             StreamView stream = {}) = 0;
    [[nodiscard]] virtual Request iall_gather(std::span<std::byte const> mine,
                                              std::span<std::byte> all, StreamView stream = {}) = 0;
    [[nodiscard]] virtual Request iall_to_all(std::span<std::byte const> send,
                                              std::span<std::int64_t const> send_bytes,
                                              std::span<std::byte> receive,
                                              std::span<std::int64_t const> receive_bytes,
                                              StreamView stream = {}) = 0;
    [[nodiscard]] virtual Request iall_reduce_sum(std::span<float> data,
                                                  StreamView stream = {}) = 0;

    // --- Point to point: messages of one (source, tag) arrive in the order they were sent --------------------------

    /// May be done before the message is received. `data` stays unchanged until then.
    [[nodiscard]] virtual Request isend(std::span<std::byte const> data, int destination, int tag,
                                        StreamView stream = {}) = 0;
    /// The message has exactly the size of `data`; another size is a ProtocolError (MPI libraries do not notice every message
    /// that is too long: a protocol of varying sizes uses receive).
    [[nodiscard]] virtual Request irecv(std::span<std::byte> data, int source, int tag,
                                        StreamView stream = {}) = 0;
    void send(std::span<std::byte const> data, int destination, int tag, StreamView stream = {});
    void recv(std::span<std::byte> data, int source, int tag, StreamView stream = {});

    /// A message of any size if one has arrived; never waits. `source` may be kAnySource. A tag is received either with
    /// irecv or with try_receive and receive, not with both.
    [[nodiscard]] virtual std::optional<Message> try_receive(int source, int tag) = 0;
    /// Waits for a message of any size.
    [[nodiscard]] virtual Message receive(int source, int tag) = 0;

    /// Lets pending transfers advance. Cheap and never waits: called between layers while transfers overlap with compute.
    virtual void progress() = 0;

    // --- Groups -----------------------------------------------------------------------------------------------------

    /// Collective. Ranks of one colour form a group, ordered by (key, rank). A negative colour joins none and gets null.
    [[nodiscard]] virtual std::unique_ptr<Communicator> split(int color, int key) = 0;
    /// Collective. The same ranks with separate message traffic.
    [[nodiscard]] virtual std::unique_ptr<Communicator> duplicate() = 0;
    /// Collective; the communicator is not used afterwards. Called on the good path only: a failing rank destroys
    /// without closing, because waiting for its peers could hang.
    virtual void close() = 0;
};

}  // namespace longhaul::comm
