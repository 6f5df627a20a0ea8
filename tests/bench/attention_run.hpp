#pragma once

#include "device/buffer.hpp"
#include "device/gpu.hpp"
#include "kernels/attention.hpp"
#include "bench/attention_cases.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace longhaul::kernels {

struct AttentionRunOptions {
    bool fixed_splits = false;
    /// Blocks of 64 slots instead of the 128 that the kernels of sm_90 want, so that the one of sm_80 gets the work.
    bool force_mma = false;
};

/// Pool, queries, results and work list of a case, for as long as it lives.
///
/// Errors   OutOfDeviceMemory
class AttentionRun {
  public:
    AttentionRun(device::Gpu& gpu, AttentionCase const& at, AttentionRunOptions const& options);
    AttentionRun(AttentionRun const&) = delete;
    AttentionRun& operator=(AttentionRun const&) = delete;

    /// Seconds a call, of `calls` back to back: the host's clock around them, the GPU idle before and after.
    double seconds_per_call(int calls);

    [[nodiscard]] double prepare_ms() const { return prepare_ms_; }
    /// The kernels that the dispatch has chosen: hopper, mma or plain.
    [[nodiscard]] std::string_view path() const { return path_; }

  private:
    void add_sequence(AttentionCase const& at, std::int64_t s, std::int64_t& blocks);
    void prepare();

    ExecContext exec_;
    KvLayout layout_;
    AttentionWork work_;
    std::string_view path_;
    double prepare_ms_ = 0.0;
    std::vector<std::int32_t> rows_;
    std::vector<std::int64_t> visible_;
    std::vector<std::vector<KvExtent>> extents_;
    std::vector<AttentionItem> items_;
    AttentionArgs args_;
    device::Buffer pool_;
    device::Buffer queries_;
    device::Buffer out_;
    device::Buffer lse_;
};

}  // namespace longhaul::kernels
