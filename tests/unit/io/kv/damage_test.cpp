// Damaged segments: refused by name, or a read says so, or what is read is what was written. Nothing else.
#include "io/kv_segment_reader.hpp"
#include "io/kv_segment_writer.hpp"
#include "support/kv/raw_segment.hpp"
#include "support/kv/segment_case.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>

namespace longhaul::io {
namespace {

using test::make_segment_case;
using test::RawSegment;
using test::SegmentCase;
using testing::HasSubstr;

constexpr int kMutations = 1500;

enum class Outcome { refused, damage_seen, harmless };

// Anything but a ValidationError ends the test. With all its tables and its seal from `other` a file is that one, damaged.
Outcome outcome_of(std::filesystem::path const& path, SegmentCase const& expected,
                   SegmentCase const& other) {
    std::optional<KvSegmentReader> reader;
    try {
        reader.emplace(path);
    } catch (ValidationError const& error) {
        EXPECT_THAT(error.what(), HasSubstr(path.string()));
        return Outcome::refused;
    }
    SegmentCase const& original = reader->blocks() == other.blocks ? other : expected;
    EXPECT_EQ(reader->shape(), original.shape);
    EXPECT_EQ(reader->blocks(), original.blocks);
    KvSegmentShape const& shape = original.shape;
    auto const count = static_cast<std::int64_t>(original.blocks.size());
    Outcome outcome = Outcome::harmless;
    for (KvPart const part : detail::stored_parts(shape)) {
        auto const size = static_cast<std::size_t>(head_block_bytes(shape, part));
        std::vector<std::byte> out(size * original.blocks.size());
        for (std::int64_t layer = shape.layers.begin; layer < shape.layers.end; ++layer) {
            for (std::int64_t head = shape.kv_heads.begin; head < shape.kv_heads.end; ++head) {
                std::int64_t const sound = reader->read_run(0, count, layer, head, part, out);
                for (std::int64_t block = 0; block < sound; ++block) {
                    auto const index = static_cast<std::size_t>(block);
                    EXPECT_TRUE(std::ranges::equal(std::span(out).subspan(index * size, size),
                                                   original.piece(index, layer, head, part)));
                }
                if (sound < count) outcome = Outcome::damage_seen;
            }
        }
    }
    return outcome;
}

std::string mutated(std::string bytes, std::string const& other, std::mt19937_64& random) {
    std::size_t const size = bytes.size();
    std::size_t const at = random() % size;
    std::size_t const length = std::min<std::size_t>(size - at, 1 + random() % 4096);
    switch (random() % 8) {
        case 0:
            bytes.resize(at);
            break;
        case 1:
            bytes.append(length, static_cast<char>(random()));
            break;
        case 2: {  // a page that was never written
            std::size_t const page = at / 4096 * 4096;
            bytes.replace(page, std::min<std::size_t>(4096, size - page),
                          std::min<std::size_t>(4096, size - page), '\0');
            break;
        }
        case 3: {  // two pieces in each other's place
            std::size_t const to = random() % size;
            std::size_t const piece = std::min({length, size - to, size - at});
            std::swap_ranges(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                             bytes.begin() + static_cast<std::ptrdiff_t>(at + piece),
                             bytes.begin() + static_cast<std::ptrdiff_t>(to));
            break;
        }
        case 4:  // a piece of another segment of the same shape, such as an older one
            bytes.replace(at, length, other, at, length);
            break;
        case 5:
            bytes.erase(at, 1 + random() % 16);
            break;
        default:
            for (std::size_t i = 0; i < 1 + random() % 3; ++i) {
                char& byte = bytes[random() % size];
                byte = static_cast<char>(byte ^ (1 << (random() % 8)));
            }
    }
    return bytes;
}

TEST(KvSegmentDamage, NeverPassesAsContent) {
    ScratchFolder const scratch;
    std::mt19937_64 random(1);
    KvSegmentShape shape = test::odd_shape();
    shape.layers = {1, 3};
    SegmentCase const original = make_segment_case(shape, 9, random);
    SegmentCase const other = make_segment_case(shape, 9, random);
    write_kv_segment(scratch / "a.h5", shape, original.blocks, original.spans());
    write_kv_segment(scratch / "b.h5", shape, other.blocks, other.spans());
    std::string const good = scratch.read("a.h5");
    std::string const strange = scratch.read("b.h5");
    ASSERT_EQ(good.size(), strange.size());
    ASSERT_EQ(outcome_of(scratch / "a.h5", original, other), Outcome::harmless);
    std::array<int, 3> outcomes{};
    for (int i = 0; i < kMutations && !HasFailure(); ++i) {
        SCOPED_TRACE(i);
        auto const path = scratch.write("m.h5", mutated(good, strange, random));
        ++outcomes[static_cast<std::size_t>(outcome_of(path, original, other))];
    }
    RecordProperty("refused", outcomes[0]);
    RecordProperty("damage_seen", outcomes[1]);
    RecordProperty("harmless", outcomes[2]);
    EXPECT_GT(outcomes[0], kMutations / 4);
    EXPECT_GT(outcomes[1], kMutations / 4);
    EXPECT_LT(outcomes[2],
              kMutations / 10);  // gaps between datasets, pieces swapped with themselves
}

TEST(KvSegmentDamage, EveryCutIsRefused) {
    ScratchFolder const scratch;
    std::mt19937_64 random(2);
    SegmentCase const segment = make_segment_case(test::odd_shape(), 1, random);
    write_kv_segment(scratch / "a.h5", segment.shape, segment.blocks, segment.spans());
    std::string const good = scratch.read("a.h5");
    for (std::size_t size = 0; size < good.size(); size += 1 + size / 50) {
        auto const path = scratch.write("m.h5", good.substr(0, size));
        ASSERT_EQ(outcome_of(path, segment, segment), Outcome::refused) << size;
    }
}

TEST(KvSegmentDamage, AFileThatShrinksUnderTheReader) {
    ScratchFolder const scratch;
    std::mt19937_64 random(3);
    SegmentCase const segment = make_segment_case(test::odd_shape(), 3, random);
    write_kv_segment(scratch / "a.h5", segment.shape, segment.blocks, segment.spans());
    KvSegmentReader const reader(scratch / "a.h5");
    std::filesystem::resize_file(scratch / "a.h5", 1000);
    std::vector<std::byte> out(static_cast<std::size_t>(block_bytes(segment.shape)));
    EXPECT_FALSE(reader.read_block(1, out));
}

class KvSegmentTables : public testing::Test {
  protected:
    std::string refusal(std::function<void(RawSegment&)> const& change) const {
        RawSegment raw = RawSegment::sound();
        change(raw);
        raw.write(scratch_ / "a.h5");
        return message_of<ValidationError>([&] { KvSegmentReader(scratch_ / "a.h5"); });
    }

  private:
    ScratchFolder scratch_;
};

TEST_F(KvSegmentTables, ASoundOneOpens) {
    EXPECT_EQ(refusal([](RawSegment&) {}), "");
}

TEST_F(KvSegmentTables, AttributesAreChecked) {
    RawSegment const sound = RawSegment::sound();
    for (auto const& entry : sound.numbers) {
        std::string const& name = entry.first;
        std::int64_t const value = entry.second;
        SCOPED_TRACE(name);
        EXPECT_THAT(refusal([&](auto& raw) { raw.numbers.erase(name); }), HasSubstr(name));
        for (std::int64_t const wrong : {std::int64_t{-1}, std::int64_t{0}, value + 1,
                                         std::int64_t{1} << 40, ~(std::int64_t{1} << 63)}) {
            // Values may lie in the keys; the datasets of values are then of no interest.
            if (wrong == value || (name == "value_dim" && wrong == 0)) continue;
            EXPECT_NE(refusal([&](auto& raw) {
                          raw.numbers[name] = wrong;
                          // More layers and heads in the model than this segment says are no contradiction.
                          if (name.starts_with("num_") && wrong == value + 1) raw.numbers[name] = 0;
                      }),
                      "")
                << wrong;
        }
    }
    for (auto const& entry : sound.texts) {
        std::string const& name = entry.first;
        EXPECT_THAT(refusal([&](auto& raw) { raw.texts.erase(name); }), HasSubstr(name));
    }
    EXPECT_THAT(refusal([](auto& raw) { raw.texts["format"] = "x"; }), HasSubstr("another kind"));
    EXPECT_THAT(refusal([](auto& raw) { raw.texts["dtype"] = "f8"; }), HasSubstr("'f8'"));
    EXPECT_THAT(refusal([](auto& raw) { raw.numbers["format_version"] = 2; }),
                HasSubstr("version is 2"));
    EXPECT_NE(refusal([](auto& raw) { raw.texts["dtype"] = "f32"; }), "");
    EXPECT_THAT(refusal([](auto& raw) { raw.texts["model"] = std::string(5000, 'm'); }),
                HasSubstr("fingerprint"));
}

TEST_F(KvSegmentTables, TablesAreChecked) {
    RawSegment const sound = RawSegment::sound();
    for (auto const& entry : sound.tables) {
        std::string const& name = entry.first;
        RawSegment::Table const& table = entry.second;
        SCOPED_TRACE(name);
        EXPECT_THAT(refusal([&](auto& raw) { raw.tables.erase(name); }), HasSubstr(name));
        EXPECT_NE(refusal([&](auto& raw) {
                      raw.tables[name].type = Hdf5Type::f64;
                      auto& changed = raw.tables[name];
                      std::int64_t bytes = 8;
                      for (auto const dim : changed.dims) bytes *= dim;
                      changed.content.resize(static_cast<std::size_t>(bytes));
                  }),
                  "");
        for (std::size_t dim = 0; dim < table.dims.size(); ++dim) {
            for (int const change : {-1, 1}) {
                EXPECT_NE(refusal([&](auto& raw) {
                              auto& changed = raw.tables[name];
                              changed.dims[dim] += change;
                              if (!changed.chunk.empty()) {
                                  changed.chunk[dim] =
                                      std::min(changed.chunk[dim], changed.dims[dim]);
                                  return;
                              }
                              std::int64_t bytes = hdf5_type_bytes(changed.type);
                              for (auto const size : changed.dims) bytes *= size;
                              changed.content.resize(static_cast<std::size_t>(bytes));
                          }),
                          "")
                    << dim << ' ' << change;
            }
        }
    }
}

TEST_F(KvSegmentTables, ValuesAndChunksAreChecked) {
    auto const slots = [&](std::int32_t value) {
        return refusal([&](auto& raw) {
            raw.tables["/slots"] =
                RawSegment::table<std::int32_t>(Hdf5Type::i32, {3}, {4, value, 4});
        });
    };
    EXPECT_EQ(slots(1), "");
    EXPECT_THAT(slots(0), HasSubstr("block 1 has 0 filled slots of 4"));
    EXPECT_THAT(slots(5), HasSubstr("block 1 has 5 filled slots of 4"));
    EXPECT_THAT(refusal([](auto& raw) {
                    raw.tables["/block_numbers"] =
                        RawSegment::table<std::int64_t>(Hdf5Type::i64, {3}, {0, 1, -2});
                }),
                HasSubstr("block 2 has the number -2"));
    auto const chunk = [&](std::vector<std::int64_t> const& dims) {
        return refusal([&](auto& raw) {
            for (auto& [name, table] : raw.tables) {
                if (name.ends_with("/key")) table.chunk = dims;
            }
        });
    };
    EXPECT_EQ(chunk({1, 2, 4, 8}), "");
    EXPECT_EQ(chunk({1, 1, 4, 8}), "");
    EXPECT_NE(chunk({2, 1, 4, 8}), "");
    EXPECT_NE(chunk({1, 2, 2, 8}), "");
    EXPECT_NE(chunk({1, 2, 4, 4}), "");
    EXPECT_THAT(refusal([](auto& raw) { raw.tables["/layer_00002/key"].chunk[1] = 1; }),
                HasSubstr("other chunks"));
}

}  // namespace
}  // namespace longhaul::io
