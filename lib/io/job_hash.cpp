#include "io/job_hash.hpp"

#include <fmt/format.h>

#define XXH_INLINE_ALL
#include "io/job_bytes.hpp"

#include <xxhash.h>

namespace longhaul::io {
namespace {

std::string hex(XXH128_hash_t hash) {
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

std::string job_hash(Job const& job, std::string_view document) {
    // Fields carry their length, so no two jobs share a byte string. The leading word changes with this list.
    ByteWriter fields;
    fields.put(std::string("longhaul-job-1"));
    fields.put(job.id);
    fields.put(std::string(job_kind_name(job.kind)));
    fields.put(job.prompt);
    fields.put(job.system);
    fields.put(job.sampling.max_tokens);
    fields.put(job.sampling.temperature);
    fields.put(job.sampling.seed);
    fields.put(job.sampling.logprobs);
    fields.put(static_cast<std::uint8_t>(job.sampling.ignore_eos));
    fields.put(job.token_ids);
    XXH128_hash_t const body = XXH3_128bits(document.data(), document.size());
    fields.put(body.low64);
    fields.put(body.high64);
    std::string const all = fields.take();
    return hex(XXH3_128bits(all.data(), all.size()));
}

std::string line_hash(std::string_view line) { return hex(XXH3_128bits(line.data(), line.size())); }

}  // namespace longhaul::io
