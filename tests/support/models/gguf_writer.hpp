#pragma once

#include "io/gguf_types.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace longhaul::test {

/// Builds GGUF files in memory, sound ones and, since nothing is checked here, unsound ones for tests of the reader.
class GgufWriter {
  public:
    std::uint32_t version = 3;
    std::uint64_t alignment = 32;

    void integer(std::string_view key, io::GgufType type, std::int64_t value);
    void u32(std::string_view key, std::int64_t value) { integer(key, io::GgufType::u32, value); }
    void real(std::string_view key, double value);  ///< float32
    void boolean(std::string_view key, bool value) {
        integer(key, io::GgufType::boolean, value ? 1 : 0);
    }
    void text(std::string_view key, std::string_view value);
    void texts(std::string_view key, std::vector<std::string> const& values);
    void integers(std::string_view key, std::vector<std::int32_t> const& values);
    /// A value given as the bytes that follow its type number.
    void raw(std::string_view key, std::uint32_t type, std::string_view bytes);

    /// `shape` outermost first, `type` ggml's number.
    void tensor(std::string_view name, std::vector<std::int64_t> const& shape, std::uint32_t type,
                std::string data);

    [[nodiscard]] std::string finish();
    /// Offsets in finish()'s bytes at which a field, a pair, a tensor entry or a tensor's data begins or ends.
    [[nodiscard]] std::vector<std::int64_t> const& boundaries() const { return boundaries_; }

  private:
    struct Tensor {
        std::string head;  // everything up to the offset
        std::string data;
    };
    void mark(std::string const& file) {
        boundaries_.push_back(static_cast<std::int64_t>(file.size()));
    }

    std::vector<std::string> pairs_;
    std::vector<Tensor> tensors_;
    std::vector<std::int64_t> boundaries_;
};

/// ggml's number of a type that longhaul reads.
[[nodiscard]] std::uint32_t ggml_number(io::TensorType type);

/// A value's little-endian bytes.
template <class T>
[[nodiscard]] std::string le_bytes(T value) {
    return {reinterpret_cast<char const*>(&value), sizeof(value)};
}
/// Length and bytes, as GGUF stores strings.
[[nodiscard]] std::string gguf_string(std::string_view text);

}  // namespace longhaul::test
