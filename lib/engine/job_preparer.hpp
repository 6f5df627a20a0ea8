#pragma once

#include "schedule/kv_ledger.hpp"
#include "engine/prepared_job.hpp"
#include "engine/segment_index.hpp"
#include "engine/text_model.hpp"
#include "engine/video_tokens_index.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace longhaul::engine {

/// Turns a job into what the scheduler takes: reads the document, decides whether an earlier run did the job already,
/// renders the chat template, tokenises, and finds the cut: the last block boundary in front of the document's last
/// pre-token, up to which every job on the same document has the same tokens.
///
/// Thread  prepare() may run in any one thread at a time.
class JobPreparer {
  public:
    struct Options {
        bool retry_errors = false;
        std::int64_t vocab_size = 0;
        std::int64_t trained_context = 0;  ///< a longer prompt is a warning, once
        schedule::KvLedger::Options kv;
        std::int64_t chunk = 512;
        SegmentIndex const* segments =
            nullptr;                  ///< what an earlier run saved, as far as this rank needs it
        std::int64_t hidden_dim = 0;  ///< width of the rows of video_tokens jobs
        std::string model_name = {};  ///< compared with what such a file says; empty: not compared
    };

    JobPreparer(TextModel const& text, Options options);

    [[nodiscard]] PreparedJob prepare(LinkJob const& link);

  private:
    struct Prompt {
        std::vector<TokenId> tokens;
        std::int64_t document_tokens = 0;  ///< leading tokens that any job on this document shares
        std::vector<schedule::EmbeddingSpan> embeddings = {};
    };
    /// What a job is about: a text, or the rows of a file.
    struct Source {
        std::string text;
        std::optional<VideoTokens> video;
        std::optional<io::JobError> error;
    };

    [[nodiscard]] Source load(io::Job const& job);
    void prepare_prompt(Source const& source, PreparedJob& prepared);
    [[nodiscard]] Prompt make_prompt(io::Job const& job, Source const& source) const;
    [[nodiscard]] Prompt encode_video(io::Job const& job, VideoTokens const& video) const;
    [[nodiscard]] Prompt encode_raw(io::Job const& job, std::string const& document) const;
    [[nodiscard]] Prompt encode_chat(io::Job const& job, std::string const& document) const;
    void fill_spec(io::Job const& job, Prompt prompt, schedule::SequenceSpec& spec) const;
    void take_up_saved(std::string const& saved, PreparedJob& prepared) const;
    [[nodiscard]] std::int64_t saved_prefix(schedule::SequenceSpec const& spec) const;
    void warn_if_beyond_training(io::Job const& job, std::int64_t tokens);

    TextModel const& text_;
    Options options_;
    schedule::KvLedger empty_pool_;  // answers what could ever fit
    VideoTokensIndex video_;
    bool warned_ = false;
};

}  // namespace longhaul::engine
