#include "engine/step_batch.hpp"

#include "base/checked.hpp"
#include "kv/kv_shard.hpp"

#include <map>
#include <tuple>
#include <utility>

namespace longhaul::engine {
namespace {

class BatchBuilder {
  public:
    BatchBuilder(schedule::StepPlan const& plan, schedule::ChunkScheduler const& scheduler,
                 std::int64_t coordinate)
        : plan_(plan), scheduler_(scheduler), ledger_(scheduler.kv()), coordinate_(coordinate) {
        batch_.single_rows.resize(static_cast<std::size_t>(ledger_.kvp()));
    }

    StepBatch build() {
        for (schedule::PlanItem const& item : plan_.items) {
            add_rows(item);
        }
        // Document items first: a row's results merge in item order, and its document comes first in the sequence.
        for (schedule::PlanItem const& item : plan_.items) {
            join_document(item);
        }
        for (auto const& [key, document] : documents_) {
            add_item(document.sequence, document.rows, {0, document.cut}, {});
        }
        for (std::size_t i = 0; i < plan_.items.size(); ++i) {
            add_own_items(plan_.items[i], batch_.item_rows[i]);
        }
        return std::move(batch_);
    }

  private:
    struct Document {
        SequenceId sequence = -1;
        std::int64_t cut = 0;
        std::vector<std::int32_t> rows;
    };

    [[nodiscard]] kv::KvShard shard(SequenceId sequence) const {
        return {ledger_.table(sequence), coordinate_, ledger_.block_slots()};
    }

    void add_rows(schedule::PlanItem const& item) {
        schedule::Sequence const& sequence = scheduler_.sequence(item.sequence);
        kv::KvShard const own = shard(item.sequence);
        bool const single = ledger_.policy_of(item.sequence) == schedule::KvPolicy::single;
        auto& company =
            single ? batch_.single_rows[static_cast<std::size_t>(ledger_.home_of(item.sequence))]
                   : batch_.striped_rows;
        batch_.item_rows.push_back({batch_.num_rows, batch_.num_rows + item.size()});
        for (std::int64_t index = item.begin; index < item.end; ++index) {
            batch_.tokens.push_back(sequence.token_at(index));
            batch_.positions.push_back(index);
            batch_.slots.push_back(own.place(index));
            company.push_back(checked_cast<std::int32_t>(batch_.num_rows++));
        }
    }

    // Rows of all sequences that hold the same document blocks, behind their cut, meet in one item.
    void join_document(schedule::PlanItem const& item) {
        std::int64_t const cut = scheduler_.sequence(item.sequence).spec.cut;
        if (cut == 0 || item.begin < cut) {
            return;
        }
        schedule::BlockTable const& table = ledger_.table(item.sequence);
        schedule::BlockRef const last =
            table.blocks[static_cast<std::size_t>(cut / ledger_.block_slots() - 1)];
        Document& document = documents_[{cut, last.coordinate, last.pool_block}];
        document.sequence = item.sequence;
        document.cut = cut;
        Range const rows = batch_.item_rows[static_cast<std::size_t>(&item - plan_.items.data())];
        for (std::int64_t row = rows.begin; row < rows.end; ++row) {
            document.rows.push_back(checked_cast<std::int32_t>(row));
        }
    }

    void add_own_items(schedule::PlanItem const& item, Range rows) {
        std::int64_t const cut = scheduler_.sequence(item.sequence).spec.cut;
        std::int64_t const origin = item.begin >= cut ? cut : 0;
        std::vector<std::int32_t> row_list;
        std::vector<std::int64_t> visible;
        for (std::int64_t row = rows.begin; row < rows.end; ++row) {
            row_list.push_back(checked_cast<std::int32_t>(row));
            visible.push_back(item.begin + (row - rows.begin) + 1);
        }
        if (item.size() == 1) {
            add_item(item.sequence, std::move(row_list), {origin, item.end}, {});
            return;
        }
        add_item(item.sequence, row_list, {origin, item.begin}, {});
        add_item(item.sequence, std::move(row_list), {item.begin, item.end}, std::move(visible));
    }

    void add_item(SequenceId sequence, std::vector<std::int32_t> rows, Range slots,
                  std::vector<std::int64_t> visible) {
        std::vector<kernels::KvExtent> extents;
        shard(sequence).append_extents(slots, extents);
        if (extents.empty()) {
            return;
        }
        kernels::AttentionItem item;
        item.rows = batch_.row_lists.emplace_back(std::move(rows));
        item.extents = batch_.extent_lists.emplace_back(std::move(extents));
        item.slot_begin = slots.begin;
        item.slot_end = slots.end;
        item.visible = batch_.visible_lists.emplace_back(std::move(visible));
        batch_.attention.push_back(item);
    }

    schedule::StepPlan const& plan_;
    schedule::ChunkScheduler const& scheduler_;
    schedule::KvLedger const& ledger_;
    std::int64_t coordinate_;
    StepBatch batch_;
    std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, Document> documents_;
};

}  // namespace

StepBatch build_step_batch(schedule::StepPlan const& plan,
                           schedule::ChunkScheduler const& scheduler, std::int64_t coordinate) {
    return BatchBuilder(plan, scheduler, coordinate).build();
}

}  // namespace longhaul::engine
