#include "app/option_values.hpp"

#include "device/gpu_info.hpp"

#include <optional>

namespace longhaul::app {

kernels::Backend choose_backend(boost::program_options::variables_map const& values) {
    using kernels::Backend;
    auto const named = choose<std::optional<Backend>>(values, "backend",
                                                      {{"auto", std::nullopt},
                                                       {"cuda", Backend::cuda},
                                                       {"cpu", Backend::cpu},
                                                       {"reference", Backend::reference}});
    if (named) {
        return *named;
    }
    return device::list_gpus().empty() ? Backend::cpu : Backend::cuda;
}

void refuse_bare_words(boost::program_options::parsed_options const& parsed, char const* command) {
    for (auto const& option : parsed.options) {
        LH_VALIDATE(!option.string_key.empty() || option.original_tokens.empty(),
                    "'{}' belongs to no option; see `longhaul {} --help`",
                    option.original_tokens.front(), command);
    }
}

}  // namespace longhaul::app
