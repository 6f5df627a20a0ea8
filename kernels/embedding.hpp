#pragma once

#include "base/range.hpp"
#include "base/types.hpp"
#include "kernels/exec_context.hpp"

#include <cstdint>
#include <span>

namespace longhaul::kernels {

/// Looks token rows up in this rank's slice of the embedding table.
///
/// Shapes   table [vocab.size(), dim] of table_dtype, row 0 = token vocab.begin; out [tokens.size(), dim] f32
/// Effects  tokens outside `vocab` give a row of zeros, so that a sum over ranks yields the whole embedding exactly
void embedding(ExecContext const& exec, std::span<TokenId const> tokens, void const* table,
               DType table_dtype, Range vocab, std::int64_t dim, float* out);

}  // namespace longhaul::kernels
