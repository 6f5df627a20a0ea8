#pragma once

#include "bench/attention_run.hpp"

namespace longhaul::kernels {

/// Times cases as another program asks, so that both take turns on one GPU. One request a line on standard input, one JSON
/// object a line on standard output; ends with its input.
///   (at the start)     {"gpu": NAME, "uuid": 32 HEX DIGITS}
///   open NAME          {"path": KERNELS}, after what an open case held has been freed (but the GPU's scratch)
///   time COUNT CALLS   {"seconds": [COUNT times a call's seconds, each the mean of CALLS back to back]}
///   close              {}
/// {"error": REASON} for what cannot be done; later requests may still be. False: without a GPU nothing can.
[[nodiscard]] bool serve_attention(AttentionRunOptions const& options);

}  // namespace longhaul::kernels
