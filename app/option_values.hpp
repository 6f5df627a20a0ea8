#pragma once

#include "base/error.hpp"
#include "kernels/exec_context.hpp"

#include <boost/program_options.hpp>

#include <map>
#include <string>

namespace longhaul::app {

/// The value of --`option` among `choices`. Throws ValidationError that lists them.
template <class T>
T choose(boost::program_options::variables_map const& values, char const* option,
         std::map<std::string, T> const& choices) {
    std::string const& text = values[option].as<std::string>();
    auto const found = choices.find(text);
    if (found == choices.end()) {
        std::string names;
        for (auto const& [name, value] : choices) {
            names += (names.empty() ? "" : ", ") + name;
        }
        throw ValidationError(
            fmt::format("--{} {}: no such choice; use one of: {}", option, text, names));
    }
    return found->second;
}

/// --backend: auto takes a GPU where this build and this node have one; nobody else asks the driver.
[[nodiscard]] kernels::Backend choose_backend(boost::program_options::variables_map const& values);

/// Words that belong to no option, as `longhaul COMMAND --help` says.
void refuse_bare_words(boost::program_options::parsed_options const& parsed, char const* command);

}  // namespace longhaul::app
