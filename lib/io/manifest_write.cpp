#include "base/checked.hpp"
#include "base/error.hpp"
#include "io/base64.hpp"
#include "io/manifest.hpp"
#include "io/manifest_format.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <utility>

namespace longhaul::io {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no other numbers; a manifest nobody can read must not replace one that can be read.
double finite(double seconds) {
    LH_EXPECT(std::isfinite(seconds));
    return seconds;
}

// One array per field: lists of a million tokens would be slow as objects.
Json logprobs_json(std::vector<TokenLogprob> const& logprobs) {
    std::vector<TokenId> ids;
    std::vector<float> values;
    std::vector<std::int32_t> top_counts;
    std::vector<TokenId> top_ids;
    std::vector<float> top_values;
    for (TokenLogprob const& token : logprobs) {
        ids.push_back(token.id);
        values.push_back(token.logprob);
        top_counts.push_back(checked_cast<std::int32_t>(token.top.size()));
        for (auto const& [id, logprob] : token.top) {
            top_ids.push_back(id);
            top_values.push_back(logprob);
        }
    }
    return {{"ids", numbers_to_base64(ids)},
            {"logprobs", numbers_to_base64(values)},
            {"top_counts", numbers_to_base64(top_counts)},
            {"top_ids", numbers_to_base64(top_ids)},
            {"top_logprobs", numbers_to_base64(top_values)}};
}

Json sequence_json(SavedSequence const& sequence) {
    LH_EXPECT(sequence.prompt_tokens >= 0 && sequence.position >= 0 && sequence.shared_tokens >= 0);
    Json json = {{"id", sequence.job_id},
                 {"job_hash", sequence.job_hash},
                 {"prompt_tokens", sequence.prompt_tokens},
                 {"position", sequence.position},
                 {"shared_tokens", sequence.shared_tokens},
                 {"end", kSavedEndNames[static_cast<std::size_t>(sequence.end)]},
                 {"elapsed_s", finite(sequence.elapsed_s)},
                 {"prefill_s", finite(sequence.prefill_s)},
                 {"last_token_s", finite(sequence.last_token_s)}};
    json["generated"] = numbers_to_base64(sequence.generated);
    json["tbt_s"] = numbers_to_base64(sequence.tbt_s);
    json["scores"] = numbers_to_base64(sequence.scores);
    json["logprobs"] = logprobs_json(sequence.logprobs);
    return json;
}

Json segment_json(KvSegmentInfo const& segment) {
    LH_EXPECT(parse_segment_name(segment.name) && segment.bytes >= 0 && segment.blocks >= 0);
    return {{"name", segment.name},
            {"bytes", segment.bytes},
            {"blocks", segment.blocks},
            {"checksum", segment.checksum}};
}

}  // namespace

std::string serialize_manifest(Manifest const& manifest) {
    RunIdentity const& identity = manifest.identity;
    GridInfo const& grid = manifest.grid;
    Json json = {
        {"run", manifest.id.run},
        {"replica", manifest.id.replica},
        {"epoch", manifest.id.epoch},
        {"model_name", identity.model_name},
        {"model_fingerprint", identity.model_fingerprint},
        {"dtype", identity.dtype},
        {"template_fingerprint", identity.template_fingerprint},
        {"options", manifest.options},
        {"grid",
         {{"replicas", grid.replicas}, {"spp", grid.spp}, {"kvp", grid.kvp}, {"tp", grid.tp}}},
        {"segments", Json::array()},
        {"sequences", Json::array()},
    };
    for (KvSegmentInfo const& segment : manifest.segments) {
        json["segments"].push_back(segment_json(segment));
    }
    for (SavedSequence const& sequence : manifest.sequences) {
        json["sequences"].push_back(sequence_json(sequence));
    }
    std::string const body = json.dump() + "\n";
    return manifest_header(kManifestVersion, body) + body;
}

}  // namespace longhaul::io
