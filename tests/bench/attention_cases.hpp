#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::kernels {

/// What bench_attention_cuda times: sequences that each have `rows` query rows.
struct AttentionCase {
    std::string name;
    std::int64_t num_heads = 32;
    std::int64_t num_kv_heads = 8;
    std::int64_t dim = 128;
    std::int64_t rows = 1;
    std::vector<std::int64_t> history;  ///< slots of each sequence before its rows
    bool causal = false;                ///< rows see each other, too
    bool peer = false;  ///< one library call does the same, so it stands in the comparison

    [[nodiscard]] std::int64_t slots(std::int64_t sequence) const {
        return history[sequence] + (causal ? rows : 0);
    }
    /// Of the slots that rows see: half of a causal square.
    [[nodiscard]] double flop() const;
    [[nodiscard]] double kv_bytes() const;
};

/// Those of the comparison first, the most telling ones at the head.
[[nodiscard]] std::vector<AttentionCase> attention_cases();

/// One line of JSON: name, peer, num_heads, num_kv_heads, dim, rows, slots, causal, unit, work. A rate in `unit` is work /
/// seconds * 1e-12. `slots` are those of the first sequence.
[[nodiscard]] std::string to_json(AttentionCase const& at);

}  // namespace longhaul::kernels
