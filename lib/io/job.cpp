#include "io/job.hpp"

#include "io/job_bytes.hpp"

namespace longhaul::io {

char const* job_kind_name(JobKind kind) {
    switch (kind) {
        case JobKind::document:
            return "document";
        case JobKind::text:
            return "text";
        case JobKind::score:
            return "score";
        case JobKind::video_tokens:
            return "video_tokens";
    }
    return "unknown";
}

std::string serialize_job(Job const& job) {
    ByteWriter out;
    out.put(job.id);
    out.put(job.kind);
    out.put(job.path ? std::optional(job.path->string()) : std::nullopt);
    out.put(job.text);
    out.put(job.token_ids);
    out.put(job.prompt);
    out.put(job.system);
    out.put(job.sampling.max_tokens);
    out.put(job.sampling.temperature);
    out.put(job.sampling.seed);
    out.put(job.sampling.logprobs);
    out.put(job.sampling.ignore_eos);
    return out.take();
}

Job deserialize_job(std::string_view bytes) {
    Job job;
    std::optional<std::string> path;
    ByteReader in(bytes);
    in.get(job.id);
    in.get(job.kind);
    in.get(path);
    in.get(job.text);
    in.get(job.token_ids);
    in.get(job.prompt);
    in.get(job.system);
    in.get(job.sampling.max_tokens);
    in.get(job.sampling.temperature);
    in.get(job.sampling.seed);
    in.get(job.sampling.logprobs);
    in.get(job.sampling.ignore_eos);
    in.finish();
    if (path) job.path = *path;
    return job;
}

}  // namespace longhaul::io
