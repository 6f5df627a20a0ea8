#pragma once

#include "text/chat_template.hpp"
#include "text/tokenizer.hpp"
#include "io/model_file.hpp"

#include <optional>
#include <string>

namespace longhaul::engine {

/// Tokenizer and chat template of a model.
struct TextModel {
    text::Tokenizer tokenizer;
    std::optional<text::ChatTemplate> chat_template;  ///< empty: the model file has none

    /// What results of one OUTPUT must have in common beside the weights.
    [[nodiscard]] std::string fingerprint() const {
        return chat_template ? chat_template->fingerprint() : "none";
    }
};

/// Builds both from what the model file says. Throws ValidationError, also when the tokenizer has more tokens than the model.
[[nodiscard]] TextModel make_text_model(io::ModelFile const& file);

}  // namespace longhaul::engine
