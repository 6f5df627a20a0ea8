#include "support/models/safetensors_writer.hpp"

#include "support/models/gguf_writer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace longhaul::test {

void SafetensorsWriter::tensor(std::string_view name, std::string_view dtype,
                               std::vector<std::int64_t> const& shape, std::string_view data) {
    std::size_t const begin = data_.size();
    data_ += data;
    entries_ += fmt::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", name,
                            dtype, fmt::join(shape, ","), begin, data_.size());
}

std::string SafetensorsWriter::with_header(std::string_view header, std::string_view data) {
    return le_bytes(static_cast<std::uint64_t>(header.size())) + std::string(header) +
           std::string(data);
}

std::string SafetensorsWriter::finish() const {
    std::string header = R"({"__metadata__":{"format":"pt"})" + entries_ + "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    return with_header(header, data_);
}

}  // namespace longhaul::test
