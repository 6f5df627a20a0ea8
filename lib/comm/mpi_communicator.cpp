#include "comm/mpi_communicator.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "comm/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace longhaul::comm {
namespace {

// What a receive checks when it ends; a send checks nothing.
struct Expected {
    std::int64_t bytes = -1;
    int source = 0;
    int tag = 0;
    int receiver = 0;
};

class MpiRequest final : public detail::RequestState {
  public:
    MpiRequest(MPI_Request request, Expected expected, BackoffPolicy const& backoff)
        : request_(request), expected_(expected), backoff_(backoff) {}
    MpiRequest(MpiRequest const&) = delete;
    MpiRequest& operator=(MpiRequest const&) = delete;

    // Only an exception that unwinds drops a pending transfer; MPI should not touch its buffer any more.
    ~MpiRequest() override {
        if (request_ != MPI_REQUEST_NULL) {
            MPI_Cancel(&request_);
            MPI_Request_free(&request_);
        }
    }

    bool test() override {
        int done = 0;
        MPI_Status status;
        int const code = MPI_Test(&request_, &done, &status);
        if (code != MPI_SUCCESS) {
            refuse_if_too_long(code);
            detail::throw_mpi_error(code, "MPI_Test", __FILE__, __LINE__);
        }
        if (done != 0 && expected_.bytes >= 0 &&
            detail::received_bytes(status) != expected_.bytes) {
            throw ProtocolError(
                fmt::format("{} has {} bytes", description(), detail::received_bytes(status)));
        }
        return done != 0;
    }

    void pause(int round) override { idle(backoff_, round); }

  private:
    void refuse_if_too_long(int code) {
        int error_class = MPI_SUCCESS;
        MPI_Error_class(code, &error_class);
        if (error_class == MPI_ERR_TRUNCATE) {
            request_ = MPI_REQUEST_NULL;
            throw ProtocolError(fmt::format("{} is longer", description()));
        }
    }

    [[nodiscard]] std::string description() const {
        return fmt::format("rank {} expects {} bytes from rank {} with tag {}, but the message",
                           expected_.receiver, expected_.bytes, expected_.source, expected_.tag);
    }

    MPI_Request request_;
    Expected expected_;
    BackoffPolicy backoff_;
};

// Without single-copy shared memory a long transfer advances by some fragments per poll only, so waiting for one must not
// sleep long: 2 GB took 19 s with sleeps of 500 us.
constexpr std::int64_t kLongTransferBytes = std::int64_t{256} * 1024;
constexpr std::chrono::microseconds kLongTransferSleep{100};

BackoffPolicy during_transfer(BackoffPolicy policy) {
    policy.longest_sleep = std::min(policy.longest_sleep, kLongTransferSleep);
    return policy;
}

BackoffPolicy policy_for(BackoffPolicy const& policy, std::int64_t bytes) {
    return bytes < kLongTransferBytes ? policy : during_transfer(policy);
}

int native_source(int source) { return source == kAnySource ? MPI_ANY_SOURCE : source; }

}  // namespace

MpiCommunicator::MpiCommunicator(MPI_Comm comm, Ownership ownership, MpiSettings const& settings)
    : comm_(comm), ownership_(ownership), settings_(settings) {
    LH_MPI_CHECK(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
    LH_MPI_CHECK(MPI_Comm_rank(comm_, &rank_));
    LH_MPI_CHECK(MPI_Comm_size(comm_, &size_));
}

Request MpiCommunicator::post_send(std::span<std::byte const> data, int destination, int tag) {
    detail::ByteLayout const layout(std::ssize(data), settings_.largest_plain_message);
    MPI_Request request = MPI_REQUEST_NULL;
    LH_MPI_CHECK(
        MPI_Isend(data.data(), layout.count(), layout.type(), destination, tag, comm_, &request));
    return Request(std::make_unique<MpiRequest>(request, Expected{},
                                                policy_for(settings_.backoff, std::ssize(data))));
}

Request MpiCommunicator::post_receive(std::span<std::byte> data, int source, int tag) {
    detail::ByteLayout const layout(std::ssize(data), settings_.largest_plain_message);
    MPI_Request request = MPI_REQUEST_NULL;
    LH_MPI_CHECK(
        MPI_Irecv(data.data(), layout.count(), layout.type(), source, tag, comm_, &request));
    Expected const expected{
        .bytes = std::ssize(data), .source = source, .tag = tag, .receiver = rank_};
    return Request(std::make_unique<MpiRequest>(request, expected,
                                                policy_for(settings_.backoff, expected.bytes)));
}

// Matches one message that has arrived, if any, and starts to receive it.
void MpiCommunicator::begin_receiving(int source, int tag) {
    int found = 0;
    MPI_Message handle = MPI_MESSAGE_NULL;
    MPI_Status status;
    LH_MPI_CHECK(MPI_Improbe(native_source(source), tag, comm_, &found, &handle, &status));
    if (found == 0) {
        return;
    }
    auto& incoming = incoming_.emplace_back();
    incoming.tag = tag;
    incoming.message.source = status.MPI_SOURCE;
    incoming.message.data.resize(checked_cast<std::size_t>(detail::received_bytes(status)));
    auto& data = incoming.message.data;
    detail::ByteLayout const layout(std::ssize(data), settings_.largest_plain_message);
    LH_MPI_CHECK(
        MPI_Imrecv(data.data(), layout.count(), layout.type(), &handle, &incoming.request));
}

std::optional<Message> MpiCommunicator::try_receive(int source, int tag) {
    LH_EXPECT(source == kAnySource || (source >= 0 && source < size_));
    check_tag(tag);
    begin_receiving(source, tag);
    std::vector<int> unfinished;  // sources whose earlier message must come out first
    for (auto item = incoming_.begin(); item != incoming_.end(); ++item) {
        int const from = item->message.source;
        if (item->tag != tag || (source != kAnySource && source != from) ||
            std::ranges::find(unfinished, from) != unfinished.end()) {
            continue;
        }
        int done = 0;
        LH_MPI_CHECK(MPI_Test(&item->request, &done, MPI_STATUS_IGNORE));
        if (done != 0) {
            Message message = std::move(item->message);
            incoming_.erase(item);
            return message;
        }
        unfinished.push_back(from);
    }
    return std::nullopt;
}

Message MpiCommunicator::receive(int source, int tag) {
    for (int round = 0;; ++round) {
        if (auto message = try_receive(source, tag)) {
            return std::move(*message);
        }
        idle(incoming_.empty() ? settings_.backoff : during_transfer(settings_.backoff), round);
    }
}

void MpiCommunicator::progress_transport() {
    // Any call that looks for messages drives the library; no message carries this tag.
    int found = 0;
    LH_MPI_CHECK(MPI_Iprobe(MPI_ANY_SOURCE, 2 * kTagLimit, comm_, &found, MPI_STATUS_IGNORE));
}

std::unique_ptr<Communicator> MpiCommunicator::split(int color, int key) {
    // MPI_Comm_split spins inside the library: all arrive together after a barrier that sleeps.
    barrier();
    MPI_Comm part = MPI_COMM_NULL;
    LH_MPI_CHECK(MPI_Comm_split(comm_, color < 0 ? MPI_UNDEFINED : color, key, &part));
    if (part == MPI_COMM_NULL) {
        return nullptr;
    }
    return std::make_unique<MpiCommunicator>(part, Ownership::owned, settings_);
}

std::unique_ptr<Communicator> MpiCommunicator::duplicate() {
    barrier();
    MPI_Comm copy = MPI_COMM_NULL;
    LH_MPI_CHECK(MPI_Comm_dup(comm_, &copy));
    return std::make_unique<MpiCommunicator>(copy, Ownership::owned, settings_);
}

void MpiCommunicator::close() {
    LH_EXPECT(incoming_.empty());
    if (ownership_ == Ownership::owned) {
        barrier();
        LH_MPI_CHECK(MPI_Comm_free(&comm_));
    }
}

}  // namespace longhaul::comm
