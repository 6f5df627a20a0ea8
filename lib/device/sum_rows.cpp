#include "device/sum_rows.hpp"

#include "base/error.hpp"
#include "device/native.hpp"

#include <algorithm>

namespace longhaul::device {

void sum_rows(float const* rows, std::int64_t stride, int num_rows, float* out, std::int64_t count,
              StreamView stream) {
    LH_EXPECT(num_rows >= 1 && count >= 0 && stride >= count);
    if (count == 0) {
        return;
    }
    if (stream.native != nullptr) {
        native::sum_rows(rows, stride, num_rows, out, count, stream);
        return;
    }
    std::copy_n(rows, count, out);
    for (int row = 1; row < num_rows; ++row) {
        float const* const values = rows + row * stride;
        for (std::int64_t i = 0; i < count; ++i) {
            out[i] += values[i];
        }
    }
}

}  // namespace longhaul::device
