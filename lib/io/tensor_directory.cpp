#include "io/tensor_directory.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <utility>

namespace longhaul::io {

void TensorDirectory::occupy(std::string const& name, std::int64_t offset, std::int64_t bytes) {
    LH_VALIDATE(
        !by_name_.contains(name) && !foreign_.contains(name),
        "{}: tensor {} is listed twice; the file is damaged or was written wrongly, get it again",
        file_, shown(name));
    std::int64_t const known = std::max<std::int64_t>(bytes, 0);
    // offset <= end first, so that the subtraction cannot overflow.
    LH_VALIDATE(offset >= data_.begin && offset <= data_.end && known <= data_.end - offset,
                "{}: tensor {} would need {} bytes at byte {}, but the file's tensor data is [{}, "
                "{}); the file is "
                "damaged or incomplete, get it again and compare its size",
                file_, shown(name), known, offset, data_.begin, data_.end);
    extents_.push_back({{offset, offset + known}, name});
}

void TensorDirectory::add(TensorInfo info) {
    occupy(info.name, info.file_offset, info.bytes);
    by_name_.emplace(info.name, tensors_.size());
    tensors_.push_back(std::move(info));
}

void TensorDirectory::add_foreign(std::string name, std::string type_name, std::int64_t file_offset,
                                  std::int64_t bytes) {
    occupy(name, file_offset, bytes);
    foreign_.emplace(std::move(name), std::move(type_name));
}

void TensorDirectory::finish() {
    auto const before = [](Range a, Range b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    };
    std::sort(extents_.begin(), extents_.end(),
              [&](Extent const& a, Extent const& b) { return before(a.bytes, b.bytes); });
    for (std::size_t i = 1; i < extents_.size(); ++i) {
        Extent const& previous = extents_[i - 1];
        Extent const& current = extents_[i];
        LH_VALIDATE(previous.bytes.end <= current.bytes.begin,
                    "{}: tensors {} and {} share bytes at byte {}; the file is damaged or was "
                    "written wrongly, get it "
                    "again",
                    file_, shown(previous.name), shown(current.name), current.bytes.begin);
    }
    extents_.clear();
    std::stable_sort(
        tensors_.begin(), tensors_.end(),
        [](TensorInfo const& a, TensorInfo const& b) { return a.file_offset < b.file_offset; });
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
        by_name_.find(tensors_[i].name)->second = i;
    }
}

TensorInfo const* TensorDirectory::find(std::string_view name) const {
    auto const found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace longhaul::io
