#include "engine/job_link.hpp"

#include "base/bytes.hpp"

#include <span>
#include <utility>

namespace longhaul::engine {
namespace {

std::string to_text(std::vector<std::byte> const& bytes) {
    return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

std::span<std::byte const> as_bytes_of(std::string const& text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

std::string LinkJob::serialize() const {
    ByteWriter out;
    out.put(job);
    out.put(known);
    out.put(known_ok);
    out.put(known_hash);
    out.put(saved);
    return to_text(out.take());
}

LinkJob LinkJob::deserialize(std::string const& payload) {
    ByteReader in(as_bytes_of(payload));
    LinkJob job;
    in.get(job.job);
    in.get(job.known);
    in.get(job.known_ok);
    in.get(job.known_hash);
    in.get(job.saved);
    return job;
}

std::string LinkStats::serialize() const {
    ByteWriter out;
    out.put(*this);
    return to_text(out.take());
}

LinkStats LinkStats::deserialize(std::string const& payload) {
    return ByteReader(as_bytes_of(payload)).get<LinkStats>();
}

void Mailbox::push(LinkRecord record) {
    std::scoped_lock const lock(mutex_);
    records_.push_back(std::move(record));
}

std::optional<LinkRecord> Mailbox::pop() {
    std::scoped_lock const lock(mutex_);
    if (records_.empty()) {
        return std::nullopt;
    }
    LinkRecord record = std::move(records_.front());
    records_.pop_front();
    return record;
}

void RecordSender::send(LinkRecord const& record, int destination, int tag) {
    progress();
    ByteWriter out;
    out.put(record.replica);
    out.put(record.kind);
    out.put(record.payload);
    Pending& pending = pending_.emplace_back();
    pending.data = out.take();
    pending.request = comm_.isend(pending.data, destination, tag);
}

void RecordSender::progress() {
    while (!pending_.empty() && pending_.front().request.test()) {
        pending_.pop_front();
    }
}

void RecordSender::drain() {
    for (Pending& pending : pending_) {
        pending.request.wait();
    }
    pending_.clear();
}

LinkRecord parse_record(std::vector<std::byte> const& data) {
    ByteReader in(data);
    LinkRecord record;
    in.get(record.replica);
    in.get(record.kind);
    in.get(record.payload);
    return record;
}

JobLink::JobLink(int replica, LocalLink* local, comm::Communicator& service)
    : replica_(replica), local_(local), service_(service), sender_(service) {}

void JobLink::send(LinkKind kind, std::string payload) {
    LinkRecord record{replica_, kind, std::move(payload)};
    if (local_ != nullptr) {
        local_->to_server.push(std::move(record));
    } else {
        sender_.send(record, 0, kToServerTag);
    }
}

std::optional<LinkRecord> JobLink::poll() {
    if (local_ != nullptr) {
        return local_->to_leader.pop();
    }
    sender_.progress();
    std::optional<comm::Message> const message = service_.try_receive(0, kToLeaderTag);
    return message ? std::optional(parse_record(message->data)) : std::nullopt;
}

}  // namespace longhaul::engine
