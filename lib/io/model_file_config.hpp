#pragma once

#include "base/model_config.hpp"

#include <cstdint>
#include <string>

namespace longhaul::io {

/// Refuses a configuration that is impossible or outside what longhaul computes, whatever file it came from: counts in
/// sane limits, heads divisible by KV heads, head_dim a multiple of 8 up to 256, special tokens inside the vocabulary.
void check_config(std::string const& file, ModelConfig const& config);

/// Refuses `value` outside [low, high] with a message that names it.
void check_limits(std::string const& file, char const* name, std::int64_t value, std::int64_t low,
                  std::int64_t high);

}  // namespace longhaul::io
