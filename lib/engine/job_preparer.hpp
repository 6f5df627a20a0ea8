#pragma once

#include "schedule/kv_ledger.hpp"
#include "engine/prepared_job.hpp"
#include "engine/text_model.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace longhaul::engine {

/// Keys of the blocks that cover tokens [0, tokens.size()), a whole number of blocks. Blocks are shared by whole units of
/// `unit_blocks`, and a key stands for all tokens up to the end of its block's unit (or of the tokens): what is taken over
/// ends where a prefill chunk does, and had been computed in chunks of the same size.
[[nodiscard]] std::vector<schedule::BlockKey> prefix_keys(std::span<TokenId const> tokens,
                                                          std::int64_t block_slots,
                                                          std::int64_t unit_blocks);

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
    };

    JobPreparer(TextModel const& text, Options options);

    [[nodiscard]] PreparedJob prepare(LinkJob const& link);

  private:
    struct Prompt {
        std::vector<TokenId> tokens;
        std::int64_t document_tokens = 0;  ///< leading tokens that any job on this document shares
    };

    void prepare_prompt(std::string const& document, PreparedJob& prepared);
    [[nodiscard]] Prompt make_prompt(io::Job const& job, std::string const& document) const;
    [[nodiscard]] Prompt encode_raw(io::Job const& job, std::string const& document) const;
    [[nodiscard]] Prompt encode_chat(io::Job const& job, std::string const& document) const;
    void fill_spec(io::Job const& job, Prompt prompt, schedule::SequenceSpec& spec) const;
    void warn_if_beyond_training(io::Job const& job, std::int64_t tokens);

    TextModel const& text_;
    Options options_;
    schedule::KvLedger empty_pool_;  // answers what could ever fit
    bool warned_ = false;
};

}  // namespace longhaul::engine
