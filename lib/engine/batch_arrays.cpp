#include "engine/batch_arrays.hpp"

namespace longhaul::engine {
namespace {

template <class T>
std::int64_t room_for(std::vector<T> const& values) {
    return device::StepArena::room_for(static_cast<std::int64_t>(values.size() * sizeof(T)));
}

/// Hands the vectors of a batch out as they are, or as copies in an arena.
class Views {
  public:
    explicit Views(device::StepArena* arena) : arena_(arena) {}

    template <class T>
    [[nodiscard]] std::span<T const> of(std::vector<T> const& values) const {
        std::span<T const> const host(values);
        return arena_ != nullptr ? std::span<T const>(arena_->put(host), values.size()) : host;
    }

  private:
    device::StepArena* arena_;
};

}  // namespace

BatchArrays BatchUploader::bring(StepBatch const& batch) {
    Views const views(gpu_ != nullptr ? &arena_ : nullptr);
    if (gpu_ != nullptr) {
        std::int64_t room = room_for(batch.tokens) + room_for(batch.positions) +
                            room_for(batch.slots) + room_for(batch.striped_rows);
        for (std::vector<std::int32_t> const& rows : batch.single_rows) {
            room += room_for(rows);
        }
        arena_.begin(room);
    }
    BatchArrays arrays{views.of(batch.tokens),
                       views.of(batch.positions),
                       views.of(batch.slots),
                       views.of(batch.striped_rows),
                       {}};
    for (std::vector<std::int32_t> const& rows : batch.single_rows) {
        arrays.single_rows.push_back(views.of(rows));
    }
    if (gpu_ != nullptr) {
        arena_.end();
    }
    return arrays;
}

}  // namespace longhaul::engine
