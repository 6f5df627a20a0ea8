#pragma once

#include "base/block_key.hpp"
#include "base/types.hpp"
#include "io/kv_segment_info.hpp"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// An entry of a KV store (kv_store.hpp): which blocks a finished prefill consists of and which segments hold them.
///
/// A text file of two lines like a manifest (manifest.hpp), the first one
///   longhaul-kv-entry <version> <bytes of the second line, with its line feed> <XXH3-128, 32 hex digits>
/// and the second one JSON, with the keys as the base64 of their little endian halves: low, high, low, high, ...
namespace longhaul::io {

/// What KV entries must have in common to be of use to a run.
struct KvStoreIdentity {
    std::string model;  ///< fingerprint of weights and tokenizer: KvSegmentShape::model
    DType dtype = DType::bf16;
    std::int64_t block_slots = 0;

    friend bool operator==(KvStoreIdentity const&, KvStoreIdentity const&) = default;
};

/// The KV cache of a document's prefix.
struct KvStoreEntry {
    std::string document;         ///< for people
    std::int64_t num_tokens = 0;  ///< for people: entries of the prefix
    std::vector<BlockKey> keys;   ///< of its blocks 0, 1, 2, ...; not empty
    std::vector<KvSegmentInfo> segments;

    friend bool operator==(KvStoreEntry const&, KvStoreEntry const&) = default;
};

/// An entry as it lies in a store; its segments have the store's names.
struct StoredKvEntry {
    std::string id;  ///< 32 hex digits: kv_entry_id()
    KvStoreIdentity identity;
    KvStoreEntry entry;
    std::int64_t created_s = 0;  ///< Unix time
    double last_use_s = 0;       ///< Unix time; of the file, not in it

    friend bool operator==(StoredKvEntry const&, StoredKvEntry const&) = default;
};

/// An undamaged entry of another version of the format.
class ForeignKvEntry : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Hash of the identity and of the last block's key, which stands for all entries before it.
[[nodiscard]] std::string kv_entry_id(KvStoreIdentity const& identity, BlockKey const& last_key);

/// Whether a name is that of a segment of a store: 32 hex digits and ".h5". No other can lead out of the folder.
[[nodiscard]] bool is_kv_store_segment(std::string_view name);
/// 32 lower-case hex digits.
[[nodiscard]] bool is_hex_name(std::string_view text);

/// Requires    at least one key
[[nodiscard]] std::string serialize_kv_entry(StoredKvEntry const& stored);

/// Everything but last_use_s.
/// Errors      DamagedManifest; ForeignKvEntry
[[nodiscard]] StoredKvEntry parse_kv_entry(std::string_view text);

}  // namespace longhaul::io
