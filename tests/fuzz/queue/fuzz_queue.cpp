// Bytes from outside that the queue and its results are made of. The first byte chooses who reads the rest.
#include "base/error.hpp"
#include "io/job.hpp"
#include "io/job_hash.hpp"
#include "io/job_utf8.hpp"
#include "io/output_dir_index.hpp"
#include "io/result.hpp"

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

namespace io = longhaul::io;

void require(bool condition) {
    if (!condition) std::abort();
}

// A job survives its journey, and its strings are fit for a result line.
void check_line(std::string_view line) {
    io::ParsedJob const parsed = io::parse_job(line, 1, "/data");
    if (auto const* bad = std::get_if<io::BadJob>(&parsed)) {
        require(!bad->id.empty() && !bad->error.code.empty() && !bad->error.message.empty());
        auto const result = io::failed_result(bad->id, bad->job_hash, bad->error);
        require(io::read_result_head(io::to_json_line(result)).value().id == bad->id);
        return;
    }
    auto const& job = std::get<io::Job>(parsed);
    require(!io::first_invalid_utf8(job.id));
    require(!job.text || !io::first_invalid_utf8(*job.text));
    require(io::deserialize_job(io::serialize_job(job)) == job);
    require(io::job_hash(job, "x") != io::job_hash(job, "y"));
}

template <class Read>
void check_message(Read read) {
    try {
        read();
    } catch (longhaul::ValidationError const&) {
        return;  // the one way in which bad bytes are refused
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    std::string_view const rest(reinterpret_cast<char const*>(data) + 1, size - 1);
    switch (data[0]) {
        case 'R':
            static_cast<void>(io::read_result_head(rest));
            break;
        case 'j':
            check_message([&] { static_cast<void>(io::deserialize_job(rest)); });
            break;
        case 'r':
            check_message(
                [&] { static_cast<void>(io::to_json_line(io::deserialize_result(rest))); });
            break;
        default:
            check_line(rest);
            break;
    }
    return 0;
}
