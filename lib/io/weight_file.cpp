#include "io/weight_file.hpp"

#include "base/checked.hpp"
#include "io/dequantize.hpp"

#include <utility>

namespace longhaul::io {

WeightFile::WeightFile(MappedFile file, TensorDirectory directory)
    : file_(std::move(file)), directory_(std::move(directory)) {}

std::string_view WeightFile::foreign_type(std::string_view name) const {
    auto const found = directory_.foreign().find(name);
    return found == directory_.foreign().end() ? std::string_view{} : found->second;
}

void WeightFile::read(TensorInfo const& tensor, Range rows, Range cols, float* out,
                      std::int64_t out_ld) const {
    LH_EXPECT(tensor.shape.size() == 1 || tensor.shape.size() == 2);
    LH_EXPECT(rows.begin >= 0 && rows.begin <= rows.end && rows.end <= tensor.rows());
    LH_EXPECT(cols.begin >= 0 && cols.begin <= cols.end && cols.end <= tensor.cols());
    LH_EXPECT(out_ld >= cols.size());
    BlockShape const block = block_shape(tensor.type);
    std::int64_t const row_bytes = tensor.cols() / block.elements * block.bytes;
    std::byte const* const start = file_.bytes().data() + tensor.file_offset;
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        dequantize_row(tensor.type, start + row * row_bytes, cols,
                       out + (row - rows.begin) * out_ld);
    }
}

}  // namespace longhaul::io
