#pragma once

#include <cstdint>

namespace longhaul::kernels::cpu {

/// Calls work(index) for every index in [0, count), consecutive runs of them on up to `threads` threads. One thread opens
/// no parallel region, so that ranks that are threads of one process can run without OpenMP's pool.
template <class Work>
void parallel_for(int threads, std::int64_t count, Work const& work) {
    if (threads <= 1 || count <= 1) {
        for (std::int64_t index = 0; index < count; ++index) {
            work(index);
        }
        return;
    }
    int const used = count < threads ? static_cast<int>(count) : threads;
#pragma omp parallel for num_threads(used) schedule(static)
    for (std::int64_t index = 0; index < count; ++index) {
        work(index);
    }
}

}  // namespace longhaul::kernels::cpu
