#include "io/kv_store_entry.hpp"

#include "base/error.hpp"
#include "io/base64.hpp"
#include "io/job_utf8.hpp"
#include "io/manifest.hpp"
#include "io/manifest_format.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <cstring>
#include <utility>

namespace longhaul::io {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kEntryVersion = 1;
constexpr std::string_view kEntryMagic = "longhaul-kv-entry ";
constexpr std::string_view kSegmentSuffix = ".h5";

static_assert(std::endian::native == std::endian::little, "keys are stored little endian");

std::int64_t count(Json const& json, char const* key) {
    auto const& value = json.at(key);
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0) {
        throw DamagedManifest(fmt::format("\"{}\" is no count", key));
    }
    return value.get<std::int64_t>();
}

Json keys_json(std::vector<BlockKey> const& keys) {
    std::vector<std::uint64_t> halves;
    halves.reserve(keys.size() * 2);
    for (BlockKey const& key : keys) halves.insert(halves.end(), {key.low, key.high});
    return numbers_to_base64(halves);
}

std::vector<BlockKey> read_keys(std::string const& text) {
    auto const bytes = from_base64(text);
    constexpr std::size_t kKeyBytes = 2 * sizeof(std::uint64_t);
    if (!bytes || bytes->empty() || bytes->size() % kKeyBytes != 0) {
        throw DamagedManifest("\"keys\" is no list of keys");
    }
    std::vector<BlockKey> keys(bytes->size() / kKeyBytes);
    char const* from = bytes->data();
    for (BlockKey& key : keys) {
        std::memcpy(&key.low, from, sizeof(key.low));
        std::memcpy(&key.high, from + sizeof(key.low), sizeof(key.high));
        from += kKeyBytes;
    }
    return keys;
}

KvSegmentInfo read_segment(Json const& json) {
    KvSegmentInfo segment;
    segment.name = json.at("name").get<std::string>();
    segment.bytes = count(json, "bytes");
    segment.blocks = count(json, "blocks");
    std::int64_t const checksum = count(json, "checksum");
    if (!is_kv_store_segment(segment.name) || !std::in_range<std::uint32_t>(checksum)) {
        throw DamagedManifest("it names a file that is no segment");
    }
    segment.checksum = static_cast<std::uint32_t>(checksum);
    return segment;
}

DType read_dtype(std::string const& name) {
    for (DType const dtype : {DType::f32, DType::bf16}) {
        if (name == dtype_name(dtype)) return dtype;
    }
    throw DamagedManifest("\"dtype\" is unknown");
}

StoredKvEntry read_entry(Json const& json) {
    StoredKvEntry stored;
    stored.identity.model = json.at("model").get<std::string>();
    stored.identity.dtype = read_dtype(json.at("dtype").get<std::string>());
    stored.identity.block_slots = count(json, "block_slots");
    stored.entry.document = json.at("document").get<std::string>();
    stored.entry.num_tokens = count(json, "tokens");
    stored.created_s = count(json, "created_s");
    stored.entry.keys = read_keys(json.at("keys").get<std::string>());
    for (Json const& segment : json.at("segments")) {
        stored.entry.segments.push_back(read_segment(segment));
    }
    stored.id = kv_entry_id(stored.identity, stored.entry.keys.back());
    return stored;
}

}  // namespace

std::string kv_entry_id(KvStoreIdentity const& identity, BlockKey const& last_key) {
    std::string const text = fmt::format(
        "longhaul-kv-entry-1 {}:{} {} {} {:016x}{:016x}", identity.model.size(), identity.model,
        dtype_name(identity.dtype), identity.block_slots, last_key.high, last_key.low);
    XXH128_hash_t const hash = XXH3_128bits(text.data(), text.size());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

bool is_hex_name(std::string_view text) {
    return text.size() == 32 &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_kv_store_segment(std::string_view name) {
    return name.ends_with(kSegmentSuffix) &&
           is_hex_name(name.substr(0, name.size() - kSegmentSuffix.size()));
}

std::string serialize_kv_entry(StoredKvEntry const& stored) {
    LH_EXPECT(!stored.entry.keys.empty());
    Json json = {{"model", stored.identity.model},
                 {"dtype", dtype_name(stored.identity.dtype)},
                 {"block_slots", stored.identity.block_slots},
                 {"document", replace_invalid_utf8(stored.entry.document)},
                 {"tokens", stored.entry.num_tokens},
                 {"created_s", stored.created_s},
                 {"keys", keys_json(stored.entry.keys)},
                 {"segments", Json::array()}};
    for (KvSegmentInfo const& segment : stored.entry.segments) {
        LH_EXPECT(is_kv_store_segment(segment.name));
        json["segments"].push_back({{"name", segment.name},
                                    {"bytes", segment.bytes},
                                    {"blocks", segment.blocks},
                                    {"checksum", segment.checksum}});
    }
    std::string const body = json.dump() + "\n";
    return manifest_header(kEntryVersion, body, kEntryMagic) + body;
}

StoredKvEntry parse_kv_entry(std::string_view text) {
    std::string_view body;
    std::int64_t const version = check_manifest_header(text, body, kEntryMagic);
    if (version != kEntryVersion) {
        throw ForeignKvEntry(fmt::format("it is of format {} and this longhaul reads format {}",
                                         version, kEntryVersion));
    }
    try {
        return read_entry(Json::parse(body));
    } catch (Json::exception const& error) {
        throw DamagedManifest(fmt::format("it cannot be understood ({})", error.what()));
    }
}

}  // namespace longhaul::io
