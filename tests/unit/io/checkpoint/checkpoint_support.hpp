#pragma once

#include "io/checkpoint_dir.hpp"
#include "io/manifest.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <bit>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace longhaul::io {

inline RunIdentity const kIdentity{"model-1", "f32", "template-1", "tiny"};

/// Every bit pattern that is no NaN (NaNs do not compare), infinities and -0 included.
inline float any_float(std::mt19937_64& random) {
    float const value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    return value == value ? value : -std::numeric_limits<float>::infinity();
}

inline std::int64_t below(std::mt19937_64& random, std::int64_t limit) {
    return std::uniform_int_distribution<std::int64_t>(0, limit - 1)(random);
}

inline SavedSequence random_sequence(std::mt19937_64& random, std::string id) {
    SavedSequence sequence;
    sequence.job_id = std::move(id);
    sequence.job_hash = "hash of " + sequence.job_id;
    sequence.prompt_tokens = below(random, 1'000'000'000'000);
    sequence.position = below(random, 1'000'000'000'000);
    sequence.shared_tokens = below(random, 1000);
    sequence.end = static_cast<SavedEnd>(below(random, 4));
    sequence.elapsed_s = static_cast<double>(below(random, 1'000'000)) / 7;
    sequence.prefill_s = -0.0;
    sequence.last_token_s = std::numeric_limits<double>::denorm_min();
    for (std::int64_t i = below(random, 6); i > 0; --i) {
        sequence.generated.push_back(static_cast<TokenId>(random()));
        sequence.tbt_s.push_back(any_float(random));
        TokenLogprob& token = sequence.logprobs.emplace_back();
        token.id = sequence.generated.back();
        token.logprob = any_float(random);
        for (std::int64_t k = below(random, 4); k > 0; --k) {
            token.top.emplace_back(static_cast<TokenId>(random()), any_float(random));
        }
    }
    for (std::int64_t i = below(random, 9); i > 0; --i) {
        sequence.scores.push_back(any_float(random));
    }
    return sequence;
}

/// A file of the right size under a segment's name.
inline KvSegmentInfo make_segment(std::filesystem::path const& checkpoint, SegmentId const& id,
                                  std::int64_t bytes = 100) {
    std::filesystem::create_directories(segments_folder(checkpoint));
    KvSegmentInfo segment{segment_name(id), bytes, bytes / 10, 4'000'000'000U};
    std::ofstream(segments_folder(checkpoint) / segment.name)
        << std::string(static_cast<std::size_t>(bytes), 'k');
    return segment;
}

inline Manifest make_manifest(EpochId id, std::vector<SavedSequence> sequences,
                              std::vector<KvSegmentInfo> segments) {
    return {id, kIdentity, "chunk 512", {2, 1, 2, 1}, std::move(sequences), std::move(segments)};
}

/// Names of everything in a folder, those of segments with "segments/" in front.
inline std::set<std::string> names_in(std::filesystem::path const& folder) {
    std::set<std::string> names;
    if (!std::filesystem::exists(folder)) return names;
    for (auto const& entry : std::filesystem::recursive_directory_iterator(folder)) {
        if (!entry.is_directory()) {
            names.insert(std::filesystem::relative(entry.path(), folder).string());
        }
    }
    return names;
}

inline std::int64_t num_manifests(std::filesystem::path const& folder) {
    return static_cast<std::int64_t>(list_checkpoint(folder).manifests.size());
}

}  // namespace longhaul::io
