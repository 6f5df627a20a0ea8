#include "kernels/cpu/rope_kv.hpp"

#include "base/bfloat16.hpp"

#include <omp.h>

#include <array>
#include <cstring>
#include <type_traits>

namespace longhaul::kernels::cpu {
namespace {

constexpr std::int64_t kMaxDim = 256;

template <class Element>
[[nodiscard]] Element convert(float value) {
    if constexpr (std::is_same_v<Element, float>) {
        return value;
    } else {
        return to_bfloat16(value);
    }
}

template <class Element>
void rotate(float const* head, float const* table, std::int64_t half, Element* out) {
    for (std::int64_t i = 0; i < half; ++i) {
        float const cosine = table[2 * i];
        float const sine = table[2 * i + 1];
        out[i] = convert<Element>(head[i] * cosine - head[i + half] * sine);
        out[i + half] = convert<Element>(head[i + half] * cosine + head[i] * sine);
    }
}

/// Writes one slot of a head's K and V tiles. Elements are stored one by one: a neighbouring row's thread may write the
/// other half of a pair.
template <class Element>
void write_slot(KvLayout const& layout, std::byte* block, std::int64_t head, std::int64_t slot,
                Element const* key, float const* value) {
    constexpr std::int64_t kPair = std::is_same_v<Element, float> ? 1 : 2;  // elements of a word
    std::byte* keys = block + layout.key_offset(head, slot, 0);
    std::byte* values = block + layout.value_offset(head, slot, 0);
    for (std::int64_t e = 0; e < layout.key_dim; e += kPair) {
        for (std::int64_t i = 0; i < kPair; ++i) {
            std::memcpy(keys + i * sizeof(Element), key + e + i, sizeof(Element));
        }
        keys += layout.block_slots * sizeof(float);
    }
    for (std::int64_t e = 0; e < layout.value_dim; ++e) {
        Element const element = convert<Element>(value[e]);
        std::memcpy(values + e * sizeof(float), &element, sizeof(Element));
    }
}

template <class Element>
void write_row(RopeKvArgs const& args, std::int64_t row) {
    KvLayout const& layout = args.layout;
    std::int64_t const dim = layout.key_dim;
    float const* heads = static_cast<float const*>(args.qkv) +
                         row * (args.num_heads + 2 * layout.num_kv_heads) * dim;
    float const* table = args.table + row * dim;
    auto* queries = static_cast<Element*>(args.queries) + row * args.num_heads * dim;
    for (std::int64_t head = 0; head < args.num_heads; ++head) {
        rotate(heads + head * dim, table, dim / 2, queries + head * dim);
    }
    KvSlot const& target = args.slots[row];
    if (target.block < 0) {
        return;
    }
    std::byte* block = args.pool + target.block * layout.block_bytes();
    float const* keys = heads + args.num_heads * dim;
    float const* values = keys + layout.num_kv_heads * dim;
    std::array<Element, kMaxDim> rotated;
    for (std::int64_t head = 0; head < layout.num_kv_heads; ++head) {
        rotate(keys + head * dim, table, dim / 2, rotated.data());
        write_slot(layout, block, head, target.slot, rotated.data(), values + head * dim);
    }
}

template <class Element>
void write_rows(ExecContext const& exec, RopeKvArgs const& args) {
    if (exec.threads == 1) {
        for (std::int64_t row = 0; row < args.num_rows; ++row) {
            write_row<Element>(args, row);
        }
        return;
    }
#pragma omp parallel for num_threads(exec.threads) schedule(static)
    for (std::int64_t row = 0; row < args.num_rows; ++row) {
        write_row<Element>(args, row);
    }
}

}  // namespace

void rope_and_write_kv(ExecContext const& exec, RopeKvArgs const& args) {
    if (args.layout.dtype == DType::f32) {
        write_rows<float>(exec, args);
    } else {
        write_rows<BFloat16>(exec, args);
    }
}

}  // namespace longhaul::kernels::cpu
