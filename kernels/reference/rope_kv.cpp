#include "kernels/reference/rope_kv.hpp"

#include "kernels/reference/load_element.hpp"

namespace longhaul::kernels::reference {
namespace {

/// Element `dim` of a rotated head: (a cos - b sin, b cos + a sin) for the pair a = x[i], b = x[i + half].
float rotated(float const* head, float const* table, std::int64_t half, std::int64_t dim) {
    std::int64_t const i = dim % half;
    double const cosine = table[2 * i];
    double const sine = table[2 * i + 1];
    double const a = head[i];
    double const b = head[i + half];
    return static_cast<float>(dim < half ? a * cosine - b * sine : b * cosine + a * sine);
}

}  // namespace

void rope_and_write_kv(RopeKvArgs const& args) {
    KvLayout const& layout = args.layout;
    std::int64_t const dim = layout.key_dim;
    auto* queries = static_cast<std::byte*>(args.queries);
    for (std::int64_t row = 0; row < args.num_rows; ++row) {
        float const* heads = static_cast<float const*>(args.qkv) +
                             row * (args.num_heads + 2 * layout.num_kv_heads) * dim;
        float const* table = args.table + row * dim;
        for (std::int64_t head = 0; head < args.num_heads; ++head) {
            for (std::int64_t e = 0; e < dim; ++e) {
                std::int64_t const element = (row * args.num_heads + head) * dim + e;
                store_element(layout.dtype, queries + element * dtype_bytes(layout.dtype),
                              rotated(heads + head * dim, table, dim / 2, e));
            }
        }
        KvSlot const& target = args.slots[row];
        if (target.block < 0) {
            continue;
        }
        std::byte* block = args.pool + target.block * layout.block_bytes();
        float const* keys = heads + args.num_heads * dim;
        float const* values = keys + layout.num_kv_heads * dim;
        for (std::int64_t head = 0; head < layout.num_kv_heads; ++head) {
            for (std::int64_t e = 0; e < dim; ++e) {
                store_element(layout.dtype, block + layout.key_offset(head, target.slot, e),
                              rotated(keys + head * dim, table, dim / 2, e));
                store_element(layout.dtype, block + layout.value_offset(head, target.slot, e),
                              values[head * dim + e]);
            }
        }
    }
}

}  // namespace longhaul::kernels::reference
