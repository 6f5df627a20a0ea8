#include "base/error.hpp"

#include <cstdio>
#include <cstdlib>

namespace longhaul::detail {

void contract_failed(char const* kind, char const* expression, char const* file,
                     int line) noexcept {
    std::fprintf(stderr, "longhaul: broken %s at %s:%d: %s\n", kind, file, line, expression);
    std::abort();
}

}  // namespace longhaul::detail
