#pragma once

namespace longhaul {

/// Borrowed handle of the queue that an operation is ordered in. The CPU backend has none: every operation is done when its
/// call returns. A device backend stores its native stream here.
struct StreamView {
    void* native = nullptr;
};

}  // namespace longhaul
