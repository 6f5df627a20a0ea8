#include "engine/partial_exchange.hpp"

#include "base/checked.hpp"
#include "device/gpu.hpp"
#include "kernels/merge_states.hpp"
#include "kernels/rows.hpp"

#include <cstddef>
#include <iterator>
#include <numeric>
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

void PartialExchange::pack(std::span<std::int32_t const> rows, Slice const& slice, float const* out,
                           float const* lse, float* packed_out, float* packed_lse) const {
    kernels::CopyRowsArgs copy;
    copy.from = out + slice.first;
    copy.from_stride = num_heads_ * head_dim_;
    copy.from_rows = rows;
    copy.to = packed_out;
    copy.to_stride = slice.width;
    copy.num_rows = std::ssize(rows);
    copy.width = slice.width;
    kernels::copy_rows(exec_, copy);
    copy.from = lse + slice.first_head;
    copy.from_stride = num_heads_;
    copy.to = packed_lse;
    copy.to_stride = slice.num_heads;
    copy.width = slice.num_heads;
    kernels::copy_rows(exec_, copy);
}

void PartialExchange::unpack(float const* packed, std::span<std::int32_t const> rows,
                             float* merged) const {
    kernels::CopyRowsArgs copy;
    copy.from = packed;
    copy.from_stride = own().width;
    copy.to = merged;
    copy.to_stride = own().width;
    copy.to_rows = rows;
    copy.num_rows = std::ssize(rows);
    copy.width = own().width;
    kernels::copy_rows(exec_, copy);
}

void PartialExchange::run(StepBatch const& batch, BatchArrays const& arrays, float const* out,
                          float const* lse, float* merged) {
    auto const ranks = static_cast<std::size_t>(kvp_.size());
    auto const me = static_cast<std::size_t>(kvp_.rank());
    auto const striped = static_cast<std::int64_t>(batch.striped_rows.size());
    auto const rows_of = [&](std::size_t rank) {
        return striped + static_cast<std::int64_t>(batch.single_rows[rank].size());
    };
    constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
    std::vector<std::int64_t> send_bytes(ranks);
    std::vector<std::int64_t> receive_bytes(ranks);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
        send_bytes[rank] = rows_of(me) * (slices_[rank].width + slices_[rank].num_heads) * kFloat;
        receive_bytes[rank] = rows_of(rank) * (own().width + own().num_heads) * kFloat;
    }
    auto const sum = [](std::vector<std::int64_t> const& counts) {
        return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    };
    make_room(send_, sum(send_bytes));
    make_room(receive_, sum(receive_bytes));

    float* next = send_.as<float>();
    for (Slice const& slice : slices_) {
        float* const packed_lse = next + rows_of(me) * slice.width;
        pack(arrays.striped_rows, slice, out, lse, next, packed_lse);
        pack(arrays.single_rows[me], slice, out, lse, next + striped * slice.width,
             packed_lse + striped * slice.num_heads);
        next = packed_lse + rows_of(me) * slice.num_heads;
    }
    auto const bytes_of = [](device::Buffer const& buffer, std::int64_t bytes) {
        return std::span(buffer.data(), static_cast<std::size_t>(bytes));
    };
    kvp_.all_to_all(bytes_of(send_, sum(send_bytes)), send_bytes,
                    bytes_of(receive_, sum(receive_bytes)), receive_bytes, stream());

    std::vector<float const*> received(ranks);
    float const* piece = receive_.as<float>();
    for (std::size_t rank = 0; rank < ranks; ++rank) {
        received[rank] = piece;
        unpack(piece + striped * own().width, arrays.single_rows[rank], merged);
        piece += rows_of(rank) * (own().width + own().num_heads);
    }
    merge_striped(batch, arrays, received, merged);
}

void PartialExchange::append_launch_key(StepBatch const& batch,
                                        std::vector<std::uint64_t>& key) const {
    key.push_back(batch.striped_rows.size());
    for (auto const& rows : batch.single_rows) {
        key.push_back(rows.size());
    }
    for (device::Buffer const* const buffer : {&send_, &receive_, &scratch_}) {
        key.push_back(reinterpret_cast<std::uint64_t>(buffer->data()));
    }
}

void PartialExchange::merge_striped(StepBatch const& batch, BatchArrays const& arrays,
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
    if (!all_rows) {
        make_room(scratch_, striped * own().width * static_cast<std::int64_t>(sizeof(float)));
    }
    kernels::MergeArgs args;
    args.parts = parts;
    args.num_rows = striped;
    args.width = own().width;
    args.head_dim = head_dim_;
    args.first_element = own().first;
    args.out = all_rows ? merged : scratch_.as<float>();
    args.out_stride = own().width;
    kernels::merge_states(exec_, args);
    if (!all_rows) {
        unpack(scratch_.as<float>(), arrays.striped_rows, merged);
    }
}

// Kernels in flight may still use the old memory, so a GPU is waited for; after a few steps nothing grows any more.
void PartialExchange::make_room(device::Buffer& buffer, std::int64_t bytes) const {
    if (buffer.bytes() < bytes) {
        if (exec_.gpu != nullptr) {
            exec_.gpu->synchronize();
        }
        buffer = device::Buffer(exec_.gpu, bytes);
    }
}

StreamView PartialExchange::stream() const {
    return exec_.gpu != nullptr ? exec_.gpu->stream() : StreamView{};
}

}  // namespace longhaul::engine
