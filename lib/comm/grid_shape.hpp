#pragma once

#include "base/model_config.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace longhaul::comm {

/// Extent of each axis of the process grid; the product is the number of ranks.
struct GridShape {
    std::int64_t replicas = 1;
    std::int64_t spp = 1;  ///< pipeline stages
    std::int64_t kvp = 1;  ///< parts of the KV cache
    std::int64_t tp = 1;   ///< tensor parallel

    [[nodiscard]] std::int64_t product() const { return replicas * spp * kvp * tp; }
    /// "2 x 2 x 1 x 2 (replicas x spp x kvp x tp)"
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(GridShape const&, GridShape const&) = default;
};

struct GridCoord {
    std::int64_t replica = 0;
    std::int64_t spp = 0;
    std::int64_t kvp = 0;
    std::int64_t tp = 0;

    friend bool operator==(GridCoord const&, GridCoord const&) = default;
};

/// tp varies fastest, then kvp, then spp, then replica.
[[nodiscard]] GridCoord coord_of(GridShape const& shape, std::int64_t rank);
[[nodiscard]] std::int64_t rank_of(GridShape const& shape, GridCoord const& coord);

/// Completes the axes that were asked for to a grid of `world` ranks.
///
/// Left out: spp, kvp and tp are 1 and replicas = ranks / product. Where replicas is given and ranks are left over, they go
/// to the axes left out: tp takes the largest number that divides them and does not exceed the KV heads, kvp the rest; where
/// kvp is given, spp takes the rest.
/// Errors: ValidationError when the grid does not fit the ranks or the model, with what would fit.
[[nodiscard]] GridShape resolve_grid(std::int64_t world, std::optional<std::int64_t> replicas,
                                     std::optional<std::int64_t> spp,
                                     std::optional<std::int64_t> kvp,
                                     std::optional<std::int64_t> tp, ModelConfig const& model);

/// One line for the user: the grid, and for each axis whether it was asked for.
[[nodiscard]] std::string explain(GridShape const& shape, std::optional<std::int64_t> replicas,
                                  std::optional<std::int64_t> spp, std::optional<std::int64_t> kvp,
                                  std::optional<std::int64_t> tp);

}  // namespace longhaul::comm
