#pragma once

#include "base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

/// Flat encoding of records that travel between ranks of one run: same build and byte order on both sides, so values go as
/// they lie in memory. Files have formats of their own.
namespace longhaul {

class ByteWriter {
  public:
    template <class T>
    requires std::is_trivially_copyable_v<T>
    void put(T const& value) { append(&value, sizeof(T)); }
    void put(std::string const& text) { put_vector(std::span<char const>(text)); }
    template <class T>
    void put(std::vector<T> const& values) {
        put_vector(std::span<T const>(values));
    }

    [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

  private:
    template <class T>
    void put_vector(std::span<T const> values) {
        static_assert(std::is_trivially_copyable_v<T>);
        put(static_cast<std::int64_t>(values.size()));
        append(values.data(), values.size_bytes());
    }
    void append(void const* data, std::size_t size) {
        auto const* first = static_cast<std::byte const*>(data);
        bytes_.insert(bytes_.end(), first, first + size);
    }

    std::vector<std::byte> bytes_;
};

/// Reads what ByteWriter wrote, in the same order. A record that ends early is a broken contract.
class ByteReader {
  public:
    explicit ByteReader(std::span<std::byte const> bytes) : bytes_(bytes) {}

    template <class T>
    requires std::is_trivially_copyable_v<T>
    [[nodiscard]] T get() {
        T value;
        take(&value, sizeof(T));
        return value;
    }
    template <class T>
    void get(T& value) {
        value = get<T>();
    }
    void get(std::string& text) {
        text.resize(static_cast<std::size_t>(get<std::int64_t>()));
        take(text.data(), text.size());
    }
    template <class T>
    void get(std::vector<T>& values) {
        static_assert(std::is_trivially_copyable_v<T>);
        values.resize(static_cast<std::size_t>(get<std::int64_t>()));
        take(values.data(), values.size() * sizeof(T));
    }
    [[nodiscard]] bool at_end() const { return bytes_.empty(); }

  private:
    void take(void* out, std::size_t size) {
        LH_EXPECT(size <= bytes_.size());
        if (size != 0) {
            std::memcpy(out, bytes_.data(), size);
        }
        bytes_ = bytes_.subspan(size);
    }

    std::span<std::byte const> bytes_;
};

}  // namespace longhaul
