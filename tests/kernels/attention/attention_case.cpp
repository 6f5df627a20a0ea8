#include "kernels/attention/attention_case.hpp"

#include "base/bfloat16.hpp"
#include "device/buffer.hpp"
#include "device/gpu_info.hpp"
#include "kernels/reference/load_element.hpp"
#include "support/tolerance.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <memory>
#include <numeric>

namespace longhaul::kernels::test {
namespace {

using reference::load_element;
using reference::store_element;

void fill_noise(std::vector<std::byte>& bytes, DType dtype, float magnitude,
                std::mt19937_64& random) {
    std::normal_distribution<float> normal(0.0F, magnitude);
    std::int64_t const element_bytes = dtype_bytes(dtype);
    for (std::int64_t i = 0; i < std::ssize(bytes); i += element_bytes) {
        store_element(dtype, bytes.data() + i, normal(random));
    }
}

double round_bf16(double value) { return to_float(to_bfloat16(static_cast<float>(value))); }

}  // namespace

AttentionCase::AttentionCase(CaseShape const& shape, std::uint64_t seed) : shape_(shape) {
    std::mt19937_64 random(seed);
    pool_.resize(shape.pool_blocks * layout().block_bytes());
    queries_.resize(shape.num_rows * num_heads() * shape.key_dim * dtype_bytes(shape.dtype));
    fill_noise(pool_, shape.dtype, shape.magnitude, random);
    fill_noise(queries_, shape.dtype, shape.magnitude, random);
}

void AttentionCase::add_item(std::vector<std::int32_t> rows, std::vector<KvExtent> extents,
                             std::int64_t slot_begin, std::int64_t slot_end,
                             std::vector<std::int64_t> visible) {
    storage_.push_back({std::move(rows), std::move(extents), std::move(visible)});
    ItemStorage const& kept = storage_.back();
    items_.push_back({kept.rows, kept.extents, slot_begin, slot_end, kept.visible});
}

void AttentionCase::clear_items() {
    items_.clear();
    storage_.clear();
}

KvLayout AttentionCase::layout() const {
    return {shape_.dtype, shape_.block_slots, shape_.num_kv_heads, shape_.key_dim,
            shape_.value_dim};
}

AttentionArgs AttentionCase::args() const {
    AttentionArgs args;
    args.layout = layout();
    args.pool = pool_.data();
    args.queries = queries_.data();
    args.num_rows = shape_.num_rows;
    args.num_heads = num_heads();
    args.scale = 1.0F / std::sqrt(static_cast<float>(shape_.key_dim));
    args.items = items_;
    return args;
}

void AttentionCase::set_query(std::int64_t row, std::int64_t head, std::int64_t dim, float value) {
    std::int64_t const element = (row * num_heads() + head) * shape_.key_dim + dim;
    store_element(shape_.dtype, queries_.data() + element * dtype_bytes(shape_.dtype), value);
}

void AttentionCase::set_key(std::int64_t block, std::int64_t kv_head, std::int64_t slot,
                            std::int64_t dim, float value) {
    std::int64_t const offset = block * layout().block_bytes();
    store_element(shape_.dtype, pool_.data() + offset + layout().key_offset(kv_head, slot, dim),
                  value);
}

void AttentionCase::set_value(std::int64_t block, std::int64_t kv_head, std::int64_t slot,
                              std::int64_t dim, float value) {
    std::int64_t const offset = block * layout().block_bytes();
    store_element(shape_.dtype, pool_.data() + offset + layout().value_offset(kv_head, slot, dim),
                  value);
}

double AttentionCase::largest_value() const {
    double largest = 0.0;
    for (std::int64_t i = 0; i < std::ssize(pool_); i += dtype_bytes(shape_.dtype)) {
        largest = std::max(largest, std::abs(double{load_element(shape_.dtype, &pool_[i])}));
    }
    return largest;
}

AttentionResult AttentionCase::run(ExecContext const& exec, bool fixed_splits) const {
    if (exec.backend == Backend::cuda) {
        return run_on_gpu(exec, fixed_splits);
    }
    // NaN marks what was not written.
    float const unset = std::numeric_limits<float>::quiet_NaN();
    AttentionResult result{
        std::vector<float>(shape_.num_rows * num_heads() * shape_.value_dim, unset),
        std::vector<float>(shape_.num_rows * num_heads(), unset)};
    AttentionArgs call = args();
    call.out = result.out.data();
    call.lse = result.lse.data();
    attention(exec, call);
    return result;
}

AttentionResult AttentionCase::run_on_gpu(ExecContext const& exec, bool fixed_splits) const {
    float const unset = std::numeric_limits<float>::quiet_NaN();
    AttentionResult result{
        std::vector<float>(shape_.num_rows * num_heads() * shape_.value_dim, unset),
        std::vector<float>(shape_.num_rows * num_heads(), unset)};
    std::vector<std::byte> const packed = pool_in_rows();
    device::Buffer const pool = device::make_buffer(exec.gpu, std::span(packed));
    device::Buffer const queries = device::make_buffer(exec.gpu, std::span(queries_));
    device::Buffer const out = device::make_buffer(exec.gpu, std::span<float const>(result.out));
    device::Buffer const lse = device::make_buffer(exec.gpu, std::span<float const>(result.lse));
    AttentionArgs call = args();
    call.layout.packing = KvPacking::rows;
    call.pool = pool.data();
    call.queries = queries.data();
    call.out = out.as<float>();
    call.lse = lse.as<float>();
    AttentionWork work(exec, {call.layout, call.num_heads, fixed_splits});
    work.prepare(call.num_rows, call.items);
    call.work = &work;
    attention(exec, call);
    device::download(exec.gpu, result.out.data(), out.data(), out.bytes());
    device::download(exec.gpu, result.lse.data(), lse.data(), lse.bytes());
    return result;
}

std::vector<std::byte> AttentionCase::pool_in_rows() const {
    KvLayout const from = layout();
    KvLayout to = from;
    to.packing = KvPacking::rows;
    std::int64_t const element = dtype_bytes(from.dtype);
    std::vector<std::byte> packed(pool_.size());
    for (std::int64_t block = 0; block < shape_.pool_blocks; ++block) {
        std::byte const* source = pool_.data() + block * from.block_bytes();
        std::byte* target = packed.data() + block * from.block_bytes();
        for (std::int64_t head = 0; head < from.num_kv_heads; ++head) {
            for (std::int64_t slot = 0; slot < from.block_slots; ++slot) {
                for (std::int64_t dim = 0; dim < from.key_dim; ++dim) {
                    std::memcpy(target + to.key_offset(head, slot, dim),
                                source + from.key_offset(head, slot, dim), element);
                }
                for (std::int64_t dim = 0; dim < from.value_dim; ++dim) {
                    std::memcpy(target + to.value_offset(head, slot, dim),
                                source + from.value_offset(head, slot, dim), element);
                }
            }
        }
    }
    return packed;
}

device::Gpu* test_gpu() {
    static std::unique_ptr<device::Gpu> const gpu =
        device::list_gpus().empty() ? nullptr : std::make_unique<device::Gpu>(0);
    return gpu.get();
}

std::vector<AttentionCase::SeenSlot> AttentionCase::seen_slots(std::int64_t row) const {
    std::vector<SeenSlot> seen;
    for (AttentionItem const& item : items_) {
        auto const found = std::find(item.rows.begin(), item.rows.end(), row);
        if (found == item.rows.end()) {
            continue;
        }
        std::int64_t end = item.slot_end;
        if (!item.visible.empty()) {
            end = std::min(end, item.visible[found - item.rows.begin()]);
        }
        for (KvExtent const& extent : item.extents) {
            for (std::int64_t i = 0; i < extent.count * shape_.block_slots; ++i) {
                std::int64_t const block = i / shape_.block_slots;
                std::int64_t const slot = i % shape_.block_slots;
                std::int64_t const global = extent.first_slot + block * extent.slot_stride + slot;
                if (global >= item.slot_begin && global < end) {
                    seen.push_back(
                        {pool_.data() + (extent.block + block) * layout().block_bytes(), slot});
                }
            }
        }
    }
    return seen;
}

bool AttentionCase::sees(std::int64_t row, std::int64_t block, std::int64_t slot) const {
    std::byte const* bytes = pool_.data() + block * layout().block_bytes();
    std::vector<SeenSlot> const seen = seen_slots(row);
    return std::any_of(seen.begin(), seen.end(),
                       [&](SeenSlot const& at) { return at.block == bytes && at.slot == slot; });
}

void AttentionCase::attend_naive(std::int64_t row, std::int64_t head,
                                 AttentionResult& result) const {
    KvLayout const kv = layout();
    std::int64_t const kv_head = head / shape_.group;
    std::int64_t const position = row * num_heads() + head;
    std::vector<SeenSlot> const seen = seen_slots(row);
    std::vector<double> scores;
    for (SeenSlot const& at : seen) {
        double score = 0.0;
        for (std::int64_t dim = 0; dim < kv.key_dim; ++dim) {
            std::byte const* query =
                &queries_[(position * kv.key_dim + dim) * dtype_bytes(kv.dtype)];
            score += double{load_element(kv.dtype, query)} *
                     load_element(kv.dtype, at.block + kv.key_offset(kv_head, at.slot, dim));
        }
        scores.push_back(round_bf16(score * args().scale));
    }
    if (scores.empty()) {
        return;
    }
    double const largest = *std::max_element(scores.begin(), scores.end());
    double sum = 0.0;
    for (double const score : scores) {
        sum += std::exp(score - largest);
    }
    result.lse[position] = static_cast<float>(largest + std::log(sum));
    for (std::int64_t dim = 0; dim < kv.value_dim; ++dim) {
        double value = 0.0;
        for (std::size_t i = 0; i < seen.size(); ++i) {
            std::byte const* element = seen[i].block + kv.value_offset(kv_head, seen[i].slot, dim);
            value +=
                round_bf16(std::exp(scores[i] - largest) / sum) * load_element(kv.dtype, element);
        }
        result.out[position * kv.value_dim + dim] = static_cast<float>(value);
    }
}

AttentionResult AttentionCase::run_naive_bf16() const {
    AttentionResult result{
        std::vector<float>(shape_.num_rows * num_heads() * shape_.value_dim, 0.0F),
        std::vector<float>(shape_.num_rows * num_heads(), -std::numeric_limits<float>::infinity())};
    for (std::int64_t row = 0; row < shape_.num_rows; ++row) {
        for (std::int64_t head = 0; head < num_heads(); ++head) {
            attend_naive(row, head, result);
        }
    }
    return result;
}

std::vector<KvExtent> place_sequence(CaseShape const& shape, std::int64_t slots, std::int64_t rank,
                                     std::int64_t kvp, std::int64_t& next_block,
                                     std::mt19937_64& random) {
    std::vector<KvExtent> extents;
    std::int64_t const blocks = (slots + shape.block_slots - 1) / shape.block_slots;
    for (std::int64_t block = rank; block < blocks; block += kvp) {
        if (extents.empty() || pick(random, 0, 3) == 0) {
            next_block += pick(random, 0, 2);  // a gap: other sequences' blocks
            extents.push_back({next_block, 0, block * shape.block_slots, kvp * shape.block_slots});
        }
        ++extents.back().count;
        ++next_block;
    }
    return extents;
}

std::vector<Isa> available_isas() {
    std::vector<Isa> isas;
    for (Isa const isa : {Isa::plain, Isa::avx2, Isa::avx512, Isa::avx512_bf16}) {
        if (isa <= detect_isa()) {
            isas.push_back(isa);
        }
    }
    return isas;
}

char const* isa_name(Isa isa) {
    switch (isa) {
        case Isa::plain:
            return "plain";
        case Isa::avx2:
            return "avx2";
        case Isa::avx512:
            return "avx512";
        case Isa::avx512_bf16:
            return "avx512_bf16";
    }
    return "unknown";
}

void expect_close(AttentionCase const& attention, AttentionResult const& result,
                  AttentionResult const& expected) {
    auto const tolerance = test_support::attention_tolerance(attention.shape().dtype);
    double const scale = attention.largest_value();
    for (std::size_t i = 0; i < expected.lse.size(); ++i) {
        if (std::isinf(expected.lse[i])) {
            ASSERT_EQ(result.lse[i], expected.lse[i]) << "lse " << i;
        } else {
            double const bound = tolerance.lse * std::max(1.0, std::abs(double{expected.lse[i]}));
            ASSERT_NEAR(result.lse[i], expected.lse[i], bound) << "lse " << i;
        }
    }
    for (std::size_t i = 0; i < expected.out.size(); ++i) {
        ASSERT_NEAR(result.out[i], expected.out[i], tolerance.out * scale) << "out " << i;
    }
}

}  // namespace longhaul::kernels::test
