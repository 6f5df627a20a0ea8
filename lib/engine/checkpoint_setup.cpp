#include "engine/checkpoint_setup.hpp"

#include "base/bytes.hpp"
#include "base/log.hpp"
#include "comm/agree.hpp"
#include "io/checkpoint_load.hpp"
#include "io/checkpoint_names.hpp"

#include <span>
#include <utility>

namespace longhaul::engine {
namespace {

/// What world rank 0 found and every rank has to know.
struct Found {
    std::int64_t run = 0;
    std::vector<io::KvSegmentInfo> segments;
    std::vector<io::KvSegmentInfo> stored;  // in the KV store
};

std::vector<std::byte> to_bytes(Found const& found) {
    ByteWriter out;
    put_segments(out, found.segments);
    put_segments(out, found.stored);
    out.put(found.run);
    return out.take();
}

Found found_from(std::span<std::byte const> bytes) {
    ByteReader in(bytes);
    Found found;
    found.segments = get_segments(in);
    found.stored = get_segments(in);
    in.get(found.run);
    return found;
}

void broadcast(comm::Communicator& world, std::vector<std::byte>& bytes) {
    auto size = static_cast<std::int64_t>(bytes.size());
    world.broadcast(std::as_writable_bytes(std::span(&size, 1)), 0);
    bytes.resize(static_cast<std::size_t>(size));
    world.broadcast(bytes, 0);
}

Found look_at_folder(RunSetup& setup, RunOptions const& options, RunObserver const& observer) {
    Found found;
    std::filesystem::path const folder = options.checkpoint_folder();
    if (!options.saves() && !std::filesystem::exists(folder)) {
        return found;
    }
    setup.checkpoint = std::make_unique<io::CheckpointDir>(
        folder, setup.identity,
        options.fresh ? io::OldCheckpoint::discard : io::OldCheckpoint::resume);
    io::LoadedCheckpoint const& saved = setup.checkpoint->saved();
    for (std::string const& problem : saved.problems) {
        log::warn("{}", problem);
    }
    std::int64_t live = 0;
    for (auto const& [id, sequence] : saved.sequences) {
        if (setup.output->known(id)) {
            setup.checkpoint->result_written(id);
        } else {
            ++live;
        }
    }
    found.run = setup.checkpoint->start_run();
    // Those that no unfinished job needs have just gone.
    for (io::KvSegmentInfo const& segment : saved.segments) {
        if (std::filesystem::exists(io::segments_folder(folder) / segment.name)) {
            found.segments.push_back(segment);
        }
    }
    if (observer.info && live > 0) {
        observer.info(fmt::format("checkpoint: {} job{} of {} will go on where {} saved", live,
                                  live == 1 ? "" : "s", folder.string(),
                                  live == 1 ? "it was" : "they were"));
    }
    return found;
}

void look_at_store(RunSetup& setup, RunOptions const& options, RunObserver const& observer,
                   Found& found) {
    if (!options.kv_store) {
        return;
    }
    setup.store = std::make_unique<io::KvStore>(
        *options.kv_store,
        io::KvStoreIdentity{setup.file->fingerprint(), options.dtype, options.block_slots});
    io::KvStoreContent const content = setup.store->load();
    for (std::string const& problem : content.problems) {
        log::warn("{}", problem);
    }
    found.stored = content.segments;
    if (observer.info) {
        observer.info(fmt::format("KV store: {} document{} of this model in {}",
                                  content.entries.size(), content.entries.size() == 1 ? "" : "s",
                                  options.kv_store->string()));
    }
}

io::KvSegmentShape segment_shape(RunSetup const& setup, RunOptions const& options) {
    kernels::KvLayout const& layout = setup.kv->layout();
    ModelConfig const& config = setup.file->config();
    io::KvSegmentShape shape;
    shape.model = setup.file->fingerprint();
    shape.dtype = options.dtype;
    shape.block_slots = layout.block_slots;
    shape.key_dim = layout.key_dim;
    shape.value_dim = layout.value_dim;
    shape.layers = setup.partition.layers;
    shape.kv_heads = setup.partition.kv_heads;
    shape.num_layers = config.num_layers;
    shape.num_kv_heads = config.num_kv_heads;
    return shape;
}

}  // namespace

void open_checkpoint(RunSetup& setup, RunOptions const& options, RunObserver const& observer) {
    comm::Communicator& world = setup.grid->world();
    std::vector<std::byte> bytes;
    comm::agree_on(world, [&] {
        if (setup.is_server()) {
            Found found = look_at_folder(setup, options, observer);
            look_at_store(setup, options, observer, found);
            bytes = to_bytes(found);
        }
    });
    broadcast(world, bytes);
    Found const found = found_from(bytes);
    if (found.run == 0) {
        return;
    }
    comm::agree_on(world, [&] {
        std::filesystem::path const folder = io::segments_folder(options.checkpoint_folder());
        comm::GridCoord const& at = setup.grid->coord();
        Checkpointer::Options own;
        own.folder = folder;
        own.shape = segment_shape(setup, options);
        own.coordinate = at.kvp;
        own.save = options.saves();
        own.keep_documents = options.kv_store.has_value();
        own.buffer_bytes = setup.memory.mine.checkpoint_buffer;
        own.segment_name = [run = found.run, at](std::int64_t number) {
            return io::segment_name({run, at.replica, at.spp, at.kvp, at.tp, number});
        };
        std::unique_ptr<SegmentIndex> index;
        if (!found.segments.empty() || !found.stored.empty()) {
            index = std::make_unique<SegmentIndex>(own.shape);
            index->add(folder, found.segments, true);
            if (options.kv_store) {
                index->add(*options.kv_store / "segments", found.stored, false);
            }
        }
        setup.segments = index.get();
        setup.checkpointer =
            std::make_unique<Checkpointer>(std::move(own), *setup.kv, std::move(index));
    });
}

}  // namespace longhaul::engine
