#pragma once

#include "base/checked.hpp"
#include "base/error.hpp"

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

/// Byte strings in which jobs and results travel between ranks of one run: native byte order, lengths in front. They are
/// never stored, so they carry no version.
namespace longhaul::io {

class ByteWriter {
  public:
    template <class T>
    requires std::is_trivially_copyable_v<T>
    void put(T const& value) { bytes_.append(reinterpret_cast<char const*>(&value), sizeof value); }

    void put(std::string const& text) { put_array(text.data(), text.size()); }

    template <class T>
    requires std::is_trivially_copyable_v<T>
    void put(std::vector<T> const& values) { put_array(values.data(), values.size()); }

    template <class T>
    void put(std::optional<T> const& value) {
        put(static_cast<std::uint8_t>(value.has_value()));
        if (value) put(*value);
    }

    [[nodiscard]] std::string take() { return std::move(bytes_); }

  private:
    template <class T>
    void put_array(T const* values, std::size_t count) {
        put(static_cast<std::uint64_t>(count));
        if (count > 0) bytes_.append(reinterpret_cast<char const*>(values), count * sizeof(T));
    }

    std::string bytes_;
};

/// Reads what ByteWriter wrote, in the same order. Bytes that run short throw ValidationError.
class ByteReader {
  public:
    explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

    template <class T>
    requires std::is_trivially_copyable_v<T>
    void get(T& value) {
        std::memcpy(static_cast<void*>(&value), take(1, sizeof value), sizeof value);
    }

    void get(bool& value) {
        std::uint8_t byte = 0;
        get(byte);
        value = byte != 0;
    }

    void get(std::string& text) { get_array(text); }

    template <class T>
    requires std::is_trivially_copyable_v<T>
    void get(std::vector<T>& values) { get_array(values); }

    template <class T>
    void get(std::optional<T>& value) {
        bool present = false;
        get(present);
        T inner{};
        if (present) get(inner);
        value = present ? std::optional<T>(std::move(inner)) : std::nullopt;
    }

    /// Every byte must have been read.
    void finish() const {
        LH_VALIDATE(rest_.empty(), "a message between ranks has {} bytes too many", rest_.size());
    }

  private:
    char const* take(std::uint64_t count, std::size_t size) {
        LH_VALIDATE(count <= rest_.size() / size, "a message between ranks ends early");
        char const* const begin = rest_.data();
        rest_.remove_prefix(static_cast<std::size_t>(count) * size);
        return begin;
    }

    template <class Container>
    void get_array(Container& values) {
        std::uint64_t count = 0;
        get(count);
        constexpr std::size_t kSize = sizeof(typename Container::value_type);
        char const* const begin = take(count, kSize);
        values.resize(static_cast<std::size_t>(count));
        if (count > 0) std::memcpy(values.data(), begin, values.size() * kSize);
    }

    std::string_view rest_;
};

}  // namespace longhaul::io
