#pragma once

#include "io/kv_store_entry.hpp"
#include "io/kv_store_publish.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace longhaul::io {

/// What a store has for a model: the entries whose files are all there, and where their blocks are.
struct KvStoreContent {
    std::vector<StoredKvEntry> entries;   ///< least recently used first
    std::vector<KvSegmentInfo> segments;  ///< of all of them, once each, by name
    std::vector<std::string>
        problems;  ///< damage and what it means, one sentence each; for the log
};

/// Finished prefills that outlive their run (`--kv-store DIR`): which blocks a document has, and the segments with their KV
/// entries. Runs on any grid may use one store at once, of several models too; each sees those of its own.
///
/// Pruning and verifying are for all models: kv_store_prune.hpp, kv_store_verify.hpp.
class KvStore {
  public:
    /// Makes the store where there is none; all ranks may do so at once.
    /// Errors      ValidationError: cannot be made or written to, of another version, or something else's folder
    KvStore(std::filesystem::path folder, KvStoreIdentity identity, LinkFile link_file = nullptr);

    [[nodiscard]] std::filesystem::path const& folder() const { return folder_; }
    [[nodiscard]] KvStoreIdentity const& identity() const { return identity_; }
    /// Where the segments are that load() names.
    [[nodiscard]] std::filesystem::path segments_folder() const;

    /// Changes nothing and takes no lock: any rank may call it, also while others add or prune. What is damaged is named
    /// and left out. Contents of segments are not looked at: their readers verify every block. A segment may be pruned
    /// before it is read; then its reader cannot be opened.
    /// Errors      ValidationError when the folder cannot be read
    [[nodiscard]] KvStoreContent load() const;

    /// Whether there is a whole entry that ends with this block.
    [[nodiscard]] bool has(BlockKey const& last_key) const;

    /// Takes in the segments of `entry`, which are in `from_folder`, and then the entry: by hard links, or by copies where
    /// the file system makes none, which takes as long as writing them. Segments without blocks of the entry are left out,
    /// and so is one whose blocks others have that hold less besides.
    /// What is there already is marked as used. One process or thread after the other or many at once; waits while
    /// somebody prunes.
    /// Requires    the segments are durable and stay until add() returns
    /// Errors      ValidationError: a segment is missing, damaged or of another model, or together they lack something of a
    ///             block; IoError: full disk or the like. The store is as it was then
    void add(KvStoreEntry const& entry, std::filesystem::path const& from_folder) const;

    /// Marks an entry as used now, for pruning. Where that is not possible nothing happens.
    void touch(std::string const& entry_id) const;

  private:
    struct Source {
        std::string from;  // name in the folder it comes from
        KvSegmentInfo info;
    };
    [[nodiscard]] std::vector<Source> check_sources(KvStoreEntry const& entry,
                                                    std::filesystem::path const& from_folder) const;
    [[nodiscard]] bool whole(std::string const& id) const;

    std::filesystem::path folder_;
    KvStoreIdentity identity_;
    LinkFile link_file_;
};

/// Whether a segment's content is of this identity.
[[nodiscard]] bool of_identity(KvSegmentShape const& shape, KvStoreIdentity const& identity);

}  // namespace longhaul::io
