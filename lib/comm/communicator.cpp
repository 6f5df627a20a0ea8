#include "comm/communicator.hpp"

namespace longhaul::comm {

void Communicator::broadcast(std::span<std::byte> data, int root, StreamView stream) {
    ibroadcast(data, root, stream).wait();
}

void Communicator::all_gather(std::span<std::byte const> mine, std::span<std::byte> all,
                              StreamView stream) {
    iall_gather(mine, all, stream).wait();
}

void Communicator::all_to_all(std::span<std::byte const> send,
                              std::span<std::int64_t const> send_bytes,
                              std::span<std::byte> receive,
                              std::span<std::int64_t const> receive_bytes, StreamView stream) {
    iall_to_all(send, send_bytes, receive, receive_bytes, stream).wait();
}

void Communicator::all_reduce_sum(std::span<float> data, StreamView stream) {
    iall_reduce_sum(data, stream).wait();
}

void Communicator::send(std::span<std::byte const> data, int destination, int tag,
                        StreamView stream) {
    isend(data, destination, tag, stream).wait();
}

void Communicator::recv(std::span<std::byte> data, int source, int tag, StreamView stream) {
    irecv(data, source, tag, stream).wait();
}

}  // namespace longhaul::comm
