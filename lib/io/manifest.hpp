#pragma once

#include "base/types.hpp"
#include "io/checkpoint_names.hpp"
#include "io/kv_segment_info.hpp"
#include "io/output_dir.hpp"
#include "io/result.hpp"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// The manifest of an epoch: what one replica had done after one step, and which segments hold the KV cache of that.
///
/// A text file of two lines. The first one is the same in every version of the format:
///   longhaul-manifest <version> <bytes of the second line, with its line feed> <XXH3-128, 32 hex digits>
/// with the hash over "<version> " and the second line, so that a torn, changed or foreign file is never believed, and a
/// version we cannot read is told from damage. The second line is JSON. Arrays of numbers are the base64 of their little
/// endian bytes (base64.hpp), other numbers and texts are plain.
namespace longhaul::io {

/// How far a saved sequence had come.
enum class SavedEnd {
    none,  ///< it goes on
    stop,
    length,
    scored
};

/// A sequence of a replica as of an epoch.
struct SavedSequence {
    std::string job_id;
    std::string job_hash;
    std::int64_t prompt_tokens = 0;
    std::int64_t position =
        0;  ///< entries [0, position) are in the cache: of the prompt, then generated
    std::int64_t shared_tokens = 0;  ///< taken over from another job with the same document
    SavedEnd end = SavedEnd::none;   ///< otherwise ended, the result perhaps not acknowledged yet
    std::vector<TokenId>
        generated;  ///< may be ahead of position by the last token, which is not fed back yet
    std::vector<TokenLogprob> logprobs;  ///< of the generated tokens, where asked for
    std::vector<float> scores;           ///< kind score: of the prompt tokens from the second on

    double elapsed_s = 0;     ///< running time since first planned, over all runs
    double prefill_s = 0;     ///< until the first token; 0 before it
    double last_token_s = 0;  ///< on the clock of elapsed_s
    std::vector<float> tbt_s;

    friend bool operator==(SavedSequence const&, SavedSequence const&) = default;
};

/// Floating-point numbers are kept bit for bit. Times must be finite; log-probabilities may be anything.
struct Manifest {
    EpochId id;
    RunIdentity identity;
    std::string
        options;  ///< what must be equal for bitwise equal results (chunk length and the like), for messages
    GridInfo grid;
    std::vector<SavedSequence>
        sequences;  ///< every sequence of the replica that has no acknowledged result, once
    std::vector<KvSegmentInfo> segments;  ///< every segment those need

    friend bool operator==(Manifest const&, Manifest const&) = default;
};

/// A file that is not a whole, unchanged manifest: the message says what is wrong with it, without its name.
class DamagedManifest : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Requires    job ids, hashes and the other texts are UTF-8
[[nodiscard]] std::string serialize_manifest(Manifest const& manifest);

/// Errors      DamagedManifest; ValidationError for an undamaged manifest of another format version
[[nodiscard]] Manifest parse_manifest(std::string_view text);

}  // namespace longhaul::io
