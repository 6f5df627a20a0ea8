#include "text/pretokenizer.hpp"

#include "base/error.hpp"
#include "text/gpt2_pretokenizer.hpp"
#include "text/regex_pretokenizer.hpp"

namespace longhaul::text {

std::unique_ptr<PreTokenizer const> make_pretokenizer(std::string const& name,
                                                      std::string const& split_pattern) {
    if (name == "gpt-2") {
        return std::make_unique<Gpt2PreTokenizer>(Digits::grouped);
    }
    if (name == "smollm") {
        return std::make_unique<Gpt2PreTokenizer>(Digits::apart);
    }
    if (name == "regex" && !split_pattern.empty()) {
        return std::make_unique<RegexPreTokenizer>(std::vector<std::string>{split_pattern});
    }
    throw ValidationError(fmt::format(
        "the model's pre-tokeniser '{}' is not known, and another one would cut words differently; "
        "use a model with 'gpt-2' or 'smollm'",
        name));
}

}  // namespace longhaul::text
