#include "engine/batch_arrays.hpp"

namespace longhaul::engine {
namespace {

template <class T>
std::int64_t room_for(std::vector<T> const& values) {
    return device::StepArena::room_for(static_cast<std::int64_t>(values.size() * sizeof(T)));
}

template <class T>
std::span<T const> put(device::StepArena& arena, std::vector<T> const& values) {
    return {arena.put(std::span<T const>(values)), values.size()};
}

}  // namespace

BatchArrays BatchUploader::bring(StepBatch const& batch) {
    std::int64_t room = room_for(batch.tokens) + room_for(batch.positions) + room_for(batch.slots) +
                        room_for(batch.striped_rows);
    for (std::vector<std::int32_t> const& rows : batch.single_rows) {
        room += room_for(rows);
    }
    arena_.begin(room);
    BatchArrays arrays{put(arena_, batch.tokens),
                       put(arena_, batch.positions),
                       put(arena_, batch.slots),
                       put(arena_, batch.striped_rows),
                       {}};
    for (std::vector<std::int32_t> const& rows : batch.single_rows) {
        arrays.single_rows.push_back(put(arena_, rows));
    }
    arena_.end();
    return arrays;
}

}  // namespace longhaul::engine
