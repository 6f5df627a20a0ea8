#pragma once

#include "base/checked.hpp"
#include "device/buffer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace longhaul::device {

/// Small arrays that the host makes for every step (token ids, slots, work lists) brought to the backend in one copy.
///
///     arena.begin(bytes_at_most); p = arena.put(values); q = arena.put(others); arena.end();
///
/// Without a GPU put() hands out the arrays themselves. On one the pointers are of its memory, filled once end() has been called,
/// in the order of gpu->stream(), and valid until the next begin(). Equal sizes in equal order give equal pointers as long as nothing grows, which a recorded graph
/// relies on. Two staging buffers take turns, so the host fills one while the other one is copied.
class StepArena {
  public:
    explicit StepArena(Gpu const* gpu) : gpu_(gpu) {}

    /// Makes room for `bytes` (each put() takes up to kAlignment more than its array).
    void begin(std::int64_t bytes);
    void end();

    template <class T>
    [[nodiscard]] T const* put(std::span<T const> values) {
        static_assert(std::is_trivially_copyable_v<T>);
        if (gpu_ == nullptr) {
            return values.data();
        }
        auto const size = static_cast<std::int64_t>(values.size_bytes());
        std::int64_t const place = reserve(size);
        if (size > 0) {
            std::memcpy(staging().data() + place, values.data(), values.size_bytes());
        }
        return reinterpret_cast<T const*>(memory_.data() + place);
    }

    static constexpr std::int64_t kAlignment = 256;
    /// What put() takes of the room.
    [[nodiscard]] static constexpr std::int64_t room_for(std::int64_t bytes) {
        return round_up(bytes, kAlignment);
    }

  private:
    struct Staging {
        PinnedBuffer buffer;
        std::optional<Event> copied;  // from the first turn on
    };

    [[nodiscard]] std::int64_t reserve(std::int64_t bytes);
    [[nodiscard]] PinnedBuffer& staging() { return staging_[turn_].buffer; }

    Gpu const* gpu_;
    Buffer memory_;
    std::array<Staging, 2> staging_;
    std::size_t turn_ = 0;
    std::int64_t used_ = 0;
};

}  // namespace longhaul::device
