#include "kernels/attention.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"
#include "kernels/cpu/attention.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/reference/attention.hpp"

#include <cmath>
#include <iterator>

namespace longhaul::kernels {
namespace {

constexpr std::int64_t kMaxDim = 256;

void expect_item(KvLayout const& layout, std::int64_t num_rows, AttentionItem const& item) {
    LH_EXPECT(item.visible.empty() || item.visible.size() == item.rows.size());
    for (std::int32_t const row : item.rows) {
        LH_EXPECT(row >= 0 && row < num_rows);
    }
    for (KvExtent const& extent : item.extents) {
        LH_EXPECT(extent.block >= 0 && extent.count >= 0 && extent.first_slot >= 0);
        LH_EXPECT(extent.count <= 1 || extent.slot_stride >= layout.block_slots);
    }
}

void expect_valid(ExecContext const& exec, AttentionArgs const& args) {
    KvLayout const& layout = args.layout;
    LH_EXPECT(layout.num_kv_heads > 0 && args.num_heads % layout.num_kv_heads == 0);
    LH_EXPECT(layout.block_slots > 0 && layout.block_slots % 16 == 0);
    LH_EXPECT(layout.key_dim > 0 && layout.key_dim % 8 == 0 && layout.key_dim <= kMaxDim);
    LH_EXPECT(layout.value_dim > 0 && layout.value_dim % 8 == 0 && layout.value_dim <= kMaxDim);
    LH_EXPECT(args.scale > 0.0F && std::isfinite(args.scale));
    LH_EXPECT(exec.threads >= 1 && exec.isa <= detect_isa());
    if (exec.backend == Backend::cuda) {
        return;  // items were looked at when the work was prepared, once for all layers
    }
    for (AttentionItem const& item : args.items) {
        expect_item(layout, args.num_rows, item);
    }
}

}  // namespace

// Host backends cut the work inside the call: it costs them microseconds beside milliseconds.
struct AttentionWork::Impl {
    Shape shape;
    std::unique_ptr<cuda::AttentionPlan> plan;
};

AttentionWork::AttentionWork(ExecContext const& exec, Shape const& shape)
    : impl_(std::make_unique<Impl>(Impl{shape, nullptr})) {
    if (exec.backend == Backend::cuda) {
        impl_->plan = cuda::make_attention_plan(exec, shape);
    }
}
AttentionWork::~AttentionWork() = default;
AttentionWork::AttentionWork(AttentionWork&&) noexcept = default;
AttentionWork& AttentionWork::operator=(AttentionWork&&) noexcept = default;

std::int64_t AttentionWork::partial_bytes(Shape const& shape, std::int64_t num_rows,
                                          std::int64_t num_slots) {
    constexpr std::int64_t kItems = 3;
    std::int64_t const parts = kItems + (shape.fixed_splits ? num_slots / kFixedPartSlots + 1 : 0);
    return num_rows * shape.num_heads * parts * (shape.layout.value_dim + 1) *
           dtype_bytes(DType::f32);
}

void AttentionWork::append_launch_key(std::vector<std::uint64_t>& key) const {
    if (impl_->plan) {
        impl_->plan->append_launch_key(key);
    }
}

void AttentionWork::prepare(std::int64_t num_rows, std::span<AttentionItem const> items) {
    if (impl_->plan) {
        for (AttentionItem const& item : items) {
            expect_item(impl_->shape.layout, num_rows, item);
        }
        impl_->plan->prepare(num_rows, items);
    }
}

void attention(ExecContext const& exec, AttentionArgs const& args) {
    expect_valid(exec, args);
    switch (exec.backend) {
        case Backend::reference:
            reference::attention(args);
            break;
        case Backend::cpu:
            cpu::attention(exec, args);
            break;
        case Backend::cuda:
            if (args.work != nullptr) {
                LH_EXPECT(args.work->impl().plan != nullptr);
                cuda::attention(exec, args, *args.work->impl().plan);
            } else {
                AttentionWork work(exec, {args.layout, args.num_heads, false});
                work.prepare(args.num_rows, args.items);
                cuda::attention(exec, args, *work.impl().plan);
            }
            break;
    }
}

}  // namespace longhaul::kernels
