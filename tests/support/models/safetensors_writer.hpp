#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::test {

/// Builds safetensors files in memory. Nothing is checked.
class SafetensorsWriter {
  public:
    /// `dtype` as the format spells it: "F32", "F16", "BF16", ...
    void tensor(std::string_view name, std::string_view dtype,
                std::vector<std::int64_t> const& shape, std::string_view data);
    [[nodiscard]] std::string finish() const;

    /// A file with the given header, for headers that are wrong on purpose.
    [[nodiscard]] static std::string with_header(std::string_view header, std::string_view data);

  private:
    std::string entries_;
    std::string data_;
};

}  // namespace longhaul::test
