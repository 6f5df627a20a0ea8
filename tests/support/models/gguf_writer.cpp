#include "support/models/gguf_writer.hpp"

namespace longhaul::test {

std::string gguf_string(std::string_view text) {
    return le_bytes(static_cast<std::uint64_t>(text.size())) + std::string(text);
}

std::uint32_t ggml_number(io::TensorType type) {
    switch (type) {
        case io::TensorType::f32:
            return 0;
        case io::TensorType::f16:
            return 1;
        case io::TensorType::q4_0:
            return 2;
        case io::TensorType::q4_1:
            return 3;
        case io::TensorType::q8_0:
            return 8;
        case io::TensorType::bf16:
            return 30;
    }
    return 0;
}

void GgufWriter::raw(std::string_view key, std::uint32_t type, std::string_view bytes) {
    pairs_.push_back(gguf_string(key) + le_bytes(type) + std::string(bytes));
}

void GgufWriter::integer(std::string_view key, io::GgufType type, std::int64_t value) {
    std::string const bytes =
        le_bytes(value).substr(0, static_cast<std::size_t>(io::gguf_value_bytes(type)));
    raw(key, static_cast<std::uint32_t>(type), bytes);
}

void GgufWriter::real(std::string_view key, double value) {
    raw(key, static_cast<std::uint32_t>(io::GgufType::f32), le_bytes(static_cast<float>(value)));
}

void GgufWriter::text(std::string_view key, std::string_view value) {
    raw(key, static_cast<std::uint32_t>(io::GgufType::string), gguf_string(value));
}

void GgufWriter::texts(std::string_view key, std::vector<std::string> const& values) {
    std::string bytes = le_bytes(static_cast<std::uint32_t>(io::GgufType::string)) +
                        le_bytes(static_cast<std::uint64_t>(values.size()));
    for (std::string const& value : values) {
        bytes += gguf_string(value);
    }
    raw(key, static_cast<std::uint32_t>(io::GgufType::array), bytes);
}

void GgufWriter::integers(std::string_view key, std::vector<std::int32_t> const& values) {
    std::string bytes = le_bytes(static_cast<std::uint32_t>(io::GgufType::i32)) +
                        le_bytes(static_cast<std::uint64_t>(values.size()));
    for (std::int32_t const value : values) {
        bytes += le_bytes(value);
    }
    raw(key, static_cast<std::uint32_t>(io::GgufType::array), bytes);
}

void GgufWriter::tensor(std::string_view name, std::vector<std::int64_t> const& shape,
                        std::uint32_t type, std::string data) {
    std::string head = gguf_string(name) + le_bytes(static_cast<std::uint32_t>(shape.size()));
    for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) {
        head += le_bytes(*extent);
    }
    tensors_.push_back({head + le_bytes(type), std::move(data)});
}

std::string GgufWriter::finish() {
    boundaries_.clear();
    std::string file = "GGUF";
    auto const field = [&](std::string const& bytes) {
        mark(file);
        file += bytes;
    };
    field(le_bytes(version));
    field(le_bytes(static_cast<std::uint64_t>(tensors_.size())));
    field(le_bytes(static_cast<std::uint64_t>(pairs_.size())));
    for (std::string const& pair : pairs_) {
        field(pair);
    }
    std::uint64_t offset = 0;
    for (Tensor const& tensor : tensors_) {
        field(tensor.head);
        field(le_bytes(offset));
        offset += (tensor.data.size() + alignment - 1) / alignment * alignment;
    }
    mark(file);
    for (Tensor const& tensor : tensors_) {
        file.resize((file.size() + alignment - 1) / alignment * alignment);
        field(tensor.data);
    }
    mark(file);
    return file;
}

}  // namespace longhaul::test
