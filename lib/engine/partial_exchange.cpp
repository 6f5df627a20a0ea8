#include "engine/partial_exchange.hpp"

#include "base/checked.hpp"
#include "kernels/merge_states.hpp"

#include <algorithm>
#include <cstring>
#include <span>

namespace longhaul::engine {

PartialExchange::PartialExchange(comm::Communicator& kvp, ModelConfig const& config,
                                 model::Partition const& partition,
                                 kernels::ExecContext const& exec)
    : kvp_(kvp), exec_(exec), head_dim_(config.head_dim), num_heads_(partition.heads.size()) {
    std::int64_t const origin = partition.heads.begin * head_dim_;
    for (Range const& columns : partition.projection) {
        Slice slice{columns.begin - origin, columns.size(), 0, 0};
        if (!columns.empty()) {
            slice.first_head = slice.first / head_dim_;
            slice.num_heads = ceil_div(slice.first + slice.width, head_dim_) - slice.first_head;
        }
        slices_.push_back(slice);
    }
}

void PartialExchange::pack(std::vector<std::int32_t> const& rows, Slice const& slice,
                           float const* out, float const* lse, float* packed_out,
                           float* packed_lse) const {
    for (std::int32_t const row : rows) {
        float const* const from = out + row * num_heads_ * head_dim_ + slice.first;
        packed_out = std::copy_n(from, slice.width, packed_out);
        packed_lse =
            std::copy_n(lse + row * num_heads_ + slice.first_head, slice.num_heads, packed_lse);
    }
}

void PartialExchange::run(StepBatch const& batch, float const* out, float const* lse,
                          float* merged) {
    auto const ranks = static_cast<std::size_t>(kvp_.size());
    auto const me = static_cast<std::size_t>(kvp_.rank());
    auto const striped = static_cast<std::int64_t>(batch.striped_rows.size());
    auto const rows_of = [&](std::size_t rank) {
        return striped + static_cast<std::int64_t>(batch.single_rows[rank].size());
    };
    std::vector<std::int64_t> send_bytes(ranks);
    std::vector<std::int64_t> receive_bytes(ranks);
    std::int64_t send_floats = 0;
    std::int64_t receive_floats = 0;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
        std::int64_t const to = rows_of(me) * (slices_[rank].width + slices_[rank].num_heads);
        std::int64_t const from = rows_of(rank) * (own().width + own().num_heads);
        send_bytes[rank] = to * static_cast<std::int64_t>(sizeof(float));
        receive_bytes[rank] = from * static_cast<std::int64_t>(sizeof(float));
        send_floats += to;
        receive_floats += from;
    }
    send_.resize(static_cast<std::size_t>(send_floats));
    receive_.resize(static_cast<std::size_t>(receive_floats));

    float* next = send_.data();
    for (Slice const& slice : slices_) {
        float* const packed_lse = next + rows_of(me) * slice.width;
        pack(batch.striped_rows, slice, out, lse, next, packed_lse);
        pack(batch.single_rows[me], slice, out, lse, next + striped * slice.width,
             packed_lse + striped * slice.num_heads);
        next = packed_lse + rows_of(me) * slice.num_heads;
    }
    kvp_.all_to_all(std::as_bytes(std::span(send_)), send_bytes,
                    std::as_writable_bytes(std::span(receive_)), receive_bytes);

    std::vector<float const*> received(ranks);
    float const* piece = receive_.data();
    for (std::size_t rank = 0; rank < ranks; ++rank) {
        received[rank] = piece;
        float const* single = piece + striped * own().width;
        for (std::int32_t const row : batch.single_rows[rank]) {
            std::copy_n(single, own().width, merged + row * own().width);
            single += own().width;
        }
        piece += rows_of(rank) * (own().width + own().num_heads);
    }
    merge_striped(batch, received, merged);
}

void PartialExchange::merge_striped(StepBatch const& batch,
                                    std::vector<float const*> const& received, float* merged) {
    auto const striped = static_cast<std::int64_t>(batch.striped_rows.size());
    if (striped == 0 || own().width == 0) {
        return;
    }
    std::vector<kernels::PartialState> parts;
    for (std::size_t rank = 0; rank < received.size(); ++rank) {
        std::int64_t const rows =
            striped + static_cast<std::int64_t>(batch.single_rows[rank].size());
        parts.push_back(
            {received[rank], own().width, received[rank] + rows * own().width, own().num_heads});
    }
    bool const all_rows = striped == batch.num_rows;  // then they stand in row order
    scratch_.resize(all_rows ? 0 : static_cast<std::size_t>(striped * own().width));
    kernels::MergeArgs args;
    args.parts = parts;
    args.num_rows = striped;
    args.width = own().width;
    args.head_dim = head_dim_;
    args.first_element = own().first;
    args.out = all_rows ? merged : scratch_.data();
    args.out_stride = own().width;
    kernels::merge_states(exec_, args);
    if (!all_rows) {
        float const* from = scratch_.data();
        for (std::int32_t const row : batch.striped_rows) {
            std::copy_n(from, own().width, merged + row * own().width);
            from += own().width;
        }
    }
}

}  // namespace longhaul::engine
