#pragma once

#include "comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace longhaul::engine {

/// What leaders and the job server on world rank 0 say to each other.
enum class LinkKind : std::int32_t {
    pull,     ///< leader: wants one more job
    result,   ///< leader: io::serialize_result
    skipped,  ///< leader: the job has a result already (LinkSkip)
    stats,    ///< leader: LinkStats
    epoch,    ///< leader: EpochContent, all of its segments on the disk
    used,     ///< leader: a document of the KV store was used (payload: its last BlockKey)
    stop,     ///< any rank: it was asked to stop; server: save and leave (payload: why)
    bye,      ///< leader: its replica is done
    job,      ///< server: answers a pull (LinkJob)
    end,      ///< server: answers a pull, there are no more jobs for this replica
    ack,      ///< server: a result line is on the disk
    settled,  ///< server: the manifest of an epoch is on the disk, or could not be written
};

struct LinkRecord {
    int replica = 0;
    LinkKind kind = LinkKind::pull;
    std::string payload;
};

/// Payload of `job`: the job and what an earlier run left of it.
struct LinkJob {
    std::string job;  ///< io::serialize_job
    bool known = false;
    bool known_ok = false;
    std::string known_hash;
    std::string saved;  ///< to_bytes() of the sequence that an earlier run saved, or empty

    [[nodiscard]] std::string serialize() const;
    static LinkJob deserialize(std::string const& payload);
};

/// Payload of `stats`: counts of one replica since the start of the run.
struct LinkStats {
    std::int64_t jobs_started = 0;
    std::int64_t prompt_tokens_done = 0;
    std::int64_t prompt_tokens_expected = 0;  ///< of the jobs started, without what they share
    std::int64_t generated_tokens = 0;
    std::int64_t generated_tokens_expected =
        0;                         ///< of the jobs started; corrected when one ends early
    std::int64_t prefilling = 0;   ///< jobs in prefill now
    std::int64_t decoding = 0;     ///< jobs in decode now
    double longest_epoch_s = 0.0;  ///< from its announcement to its manifest
    std::int64_t entries_computed = 0;

    [[nodiscard]] std::string serialize() const;
    static LinkStats deserialize(std::string const& payload);
};

/// Thread-safe queue of records.
class Mailbox {
  public:
    void push(LinkRecord record);
    [[nodiscard]] std::optional<LinkRecord> pop();

  private:
    std::mutex mutex_;
    std::deque<LinkRecord> records_;
};

/// The leader of world rank 0 and the server live in one process and must not share a communicator: they use this pair.
struct LocalLink {
    Mailbox to_server;
    Mailbox to_leader;
};

/// Sends records over a communicator without waiting.
class RecordSender {
  public:
    explicit RecordSender(comm::Communicator& comm) : comm_(comm) {}
    void send(LinkRecord const& record, int destination, int tag);
    void progress();
    void drain();

  private:
    struct Pending {
        std::vector<std::byte> data;
        comm::Request request;
    };
    comm::Communicator& comm_;
    std::deque<Pending> pending_;
};

[[nodiscard]] LinkRecord parse_record(std::vector<std::byte> const& data);

inline constexpr int kToServerTag = 1;
inline constexpr int kToLeaderTag = 2;

/// A leader's end of the link. World rank 0's leader gets the LocalLink, the others the service communicator.
class JobLink {
  public:
    JobLink(int replica, LocalLink* local, comm::Communicator& service);

    void send(LinkKind kind, std::string payload = {});
    [[nodiscard]] std::optional<LinkRecord> poll();
    void drain() { sender_.drain(); }

  private:
    int replica_;
    LocalLink* local_;
    comm::Communicator& service_;
    RecordSender sender_;
};

}  // namespace longhaul::engine
