#include "io/manifest.hpp"

#include "base/error.hpp"
#include "io/manifest_format.hpp"
#include "unit/io/checkpoint/checkpoint_support.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <cmath>
#include <cstring>

namespace longhaul::io {
namespace {

using testing::HasSubstr;

Manifest random_manifest(std::mt19937_64& random) {
    std::vector<SavedSequence> sequences;
    for (std::int64_t i = below(random, 5); i > 0; --i) {
        sequences.push_back(random_sequence(random, "job \"" + std::to_string(i) + "\" \n\u00e9"));
    }
    std::vector<KvSegmentInfo> segments;
    for (std::int64_t i = below(random, 5); i > 0; --i) {
        segments.push_back({segment_name({1, 2, 3, 4, 5, i}), i * 1'000'000'000'000, i,
                            static_cast<std::uint32_t>(random())});
    }
    return make_manifest({3, 200, 1}, sequences, segments);
}

std::string damage_of(std::string_view text) {
    return message_of<DamagedManifest>([&] { static_cast<void>(parse_manifest(text)); });
}

TEST(Manifest, ComesBackBitForBit) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        std::mt19937_64 random(seed);
        Manifest const manifest = random_manifest(random);
        std::string const text = serialize_manifest(manifest);
        Manifest const back = parse_manifest(text);
        EXPECT_EQ(back, manifest) << "seed " << seed;
        for (SavedSequence const& sequence : back.sequences) {
            EXPECT_TRUE(std::signbit(sequence.prefill_s));
        }
        EXPECT_EQ(serialize_manifest(back), text) << "seed " << seed;
    }
}

TEST(Manifest, KeepsTheBitsOfNaN) {
    std::mt19937_64 random(1);
    SavedSequence sequence = random_sequence(random, "a");
    auto const bits = std::uint32_t{0x7fa12345};
    sequence.scores = {std::bit_cast<float>(bits)};
    Manifest const back =
        parse_manifest(serialize_manifest(make_manifest({1, 1, 0}, {sequence}, {})));
    std::uint32_t found = 0;
    std::memcpy(&found, back.sequences[0].scores.data(), sizeof found);
    EXPECT_EQ(found, bits);
}

TEST(Manifest, EveryFlippedBitAndEveryCutIsFound) {
    std::mt19937_64 random(11);
    std::string const text = serialize_manifest(
        make_manifest({3, 200, 1}, {random_sequence(random, "a")}, {{segment_name({}), 1, 2, 3}}));
    for (std::size_t at = 0; at < text.size(); ++at) {
        for (int bit = 0; bit < 8; ++bit) {
            std::string changed = text;
            changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
            EXPECT_NE(damage_of(changed), "") << "byte " << at << " bit " << bit;
        }
        EXPECT_NE(damage_of(text.substr(0, at)), "") << "cut at " << at;
    }
    EXPECT_NE(damage_of(text + "\n"), "");
    EXPECT_NE(damage_of(text + text), "");
}

TEST(Manifest, AnotherFormatIsRefusedByName) {
    std::string const body = "what a later version writes\n";
    std::string const text = manifest_header(2, body) + body;
    EXPECT_THAT(message_of<ValidationError>([&] { static_cast<void>(parse_manifest(text)); }),
                HasSubstr("is of format 2, this longhaul reads format 1"));
}

TEST(Manifest, WholeTextsThatAreNoManifest) {
    std::mt19937_64 random(2);
    std::string const text =
        serialize_manifest(make_manifest({3, 200, 1}, {random_sequence(random, "a")},
                                         {{segment_name({1, 2, 3, 4, 5, 6}), 1, 2, 3}}));
    std::string const body = text.substr(text.find('\n') + 1);
    auto const damage_with = [&](std::string const& from, std::string const& to) {
        std::string changed = body;
        auto const place = changed.find(from);
        EXPECT_NE(place, std::string::npos) << from;
        changed.replace(place, from.size(), to);
        return damage_of(manifest_header(kManifestVersion, changed) + changed);
    };
    EXPECT_EQ(damage_with("\"run\"", "\"run\""), "");
    EXPECT_THAT(damage_with("\"position\":", "\"position\":-"), HasSubstr("position"));
    EXPECT_THAT(damage_with("\"position\":", "\"posture\":"), HasSubstr("cannot be understood"));
    EXPECT_THAT(damage_with("\"epoch\":200", "\"epoch\":\"200\""), HasSubstr("understood"));
    EXPECT_THAT(damage_with("r1-p2-s3k4t5-6.h5", "../../etc/passwd"), HasSubstr("no segment"));
    EXPECT_THAT(damage_with("\"checksum\":3", "\"checksum\":4294967296"), HasSubstr("checksum"));
    EXPECT_THAT(damage_with("\"end\":\"", "\"end\":\"x"), HasSubstr("end"));
    EXPECT_THAT(damage_with("\"scores\":\"", "\"scores\":\"AAAA"), HasSubstr("scores"));
    EXPECT_THAT(damage_with("\"top_ids\":\"", "\"top_ids\":\"AAAAAAAAAAAAAAAA"),
                HasSubstr("differ in length"));
    EXPECT_THAT(damage_with("\"sequences\"", "\"sequences\":{},\"x\""), HasSubstr("understood"));
}

TEST(Manifest, MillionsOfNumbersLoadFast) {
    SavedSequence score;
    score.job_id = "score";
    score.scores.assign(1'000'000, -1.25F);
    SavedSequence writer;
    writer.job_id = "writer";
    writer.generated.assign(200'000, 7);
    writer.tbt_s.assign(200'000, 0.1F);
    writer.logprobs.assign(200'000, TokenLogprob{7, -0.5F, {{7, -0.5F}, {8, -1.0F}}});
    Manifest const manifest = make_manifest({1, 1, 0}, {score, writer}, {});
    std::string const text = serialize_manifest(manifest);
    auto const begin = std::chrono::steady_clock::now();
    Manifest const back = parse_manifest(text);
    std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - begin;
    EXPECT_EQ(back, manifest);
    EXPECT_LT(seconds.count(), 1.0);
    std::printf("%zu bytes in %.3f s\n", text.size(), seconds.count());
}

}  // namespace
}  // namespace longhaul::io
