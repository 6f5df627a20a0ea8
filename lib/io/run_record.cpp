#include "io/run_record.hpp"

#include <nlohmann/json.hpp>

namespace longhaul::io {
namespace {

using Json = nlohmann::ordered_json;

template <class Value>
Json object_of(std::vector<std::pair<std::string, Value>> const& fields) {
    Json object = Json::object();
    for (auto const& [name, value] : fields) object[name] = value;
    return object;
}

}  // namespace

std::string to_json(RunRecord const& record) {
    GridInfo const& grid = record.grid;
    Json ranks = Json::array();
    for (RankMemory const& rank : record.ranks) {
        ranks.push_back({{"weights_bytes", rank.weights_bytes},
                         {"kv_bytes", rank.kv_bytes},
                         {"workspace_bytes", rank.workspace_bytes}});
    }
    Json const json = {
        {"longhaul", record.version},
        {"model", record.model},
        {"backend", record.backend},
        {"transport", record.transport},
        {"dtype", record.dtype},
        {"started", record.started},
        {"ended", record.ended},
        {"exit_code", record.exit_code},
        {"grid",
         {{"replicas", grid.replicas}, {"spp", grid.spp}, {"kvp", grid.kvp}, {"tp", grid.tp}}},
        {"options", object_of(record.options)},
        {"versions", object_of(record.versions)},
        {"timings_s", object_of(record.timings_s)},
        {"counters", object_of(record.counters)},
        {"ranks", std::move(ranks)},
    };
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace longhaul::io
