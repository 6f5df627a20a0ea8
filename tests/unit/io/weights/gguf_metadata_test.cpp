#include "io/gguf_metadata.hpp"

#include "io/gguf_file.hpp"
#include "support/models/gguf_writer.hpp"
#include "unit/io/weights/weights_support.hpp"

#include <functional>
#include <limits>

namespace longhaul::io {
namespace {

using test::GgufWriter;
using test::le_bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint32_t number(GgufType type) { return static_cast<std::uint32_t>(type); }

class GgufMetadataTest : public ::testing::Test {
  protected:
    std::unique_ptr<GgufFile> open() {
        return GgufFile::open(folder_.put("test.gguf", writer_.finish()));
    }
    std::string refused() {
        return test::refusal([&] { static_cast<void>(open()); });
    }

    GgufWriter writer_;
    test::ScratchFolder folder_;
};

TEST_F(GgufMetadataTest, EveryTypeComesBack) {
    writer_.integer("u8", GgufType::u8, 250);
    writer_.integer("i8", GgufType::i8, -3);
    writer_.integer("u16", GgufType::u16, 65'000);
    writer_.integer("i16", GgufType::i16, -30'000);
    writer_.integer("u32", GgufType::u32, 4'000'000'000);
    writer_.integer("i32", GgufType::i32, -2'000'000'000);
    writer_.integer("u64", GgufType::u64, std::int64_t{1} << 62);
    writer_.integer("i64", GgufType::i64, -(std::int64_t{1} << 62));
    writer_.real("f32", 0.25);
    writer_.raw("f64", number(GgufType::f64), le_bytes(1e300));
    writer_.boolean("yes", true);
    writer_.text("text", "a\0b");
    writer_.texts("texts", {"", "x", "long enough to leave the small buffer"});
    writer_.texts("none", {});
    writer_.integers("integers", {-1, 7});
    std::unique_ptr<GgufFile> const file = open();
    GgufMetadata const& metadata = file->metadata();
    EXPECT_EQ(metadata.integer("u8"), 250);
    EXPECT_EQ(metadata.integer("i8"), -3);
    EXPECT_EQ(metadata.integer("u16"), 65'000);
    EXPECT_EQ(metadata.integer("i16"), -30'000);
    EXPECT_EQ(metadata.integer("u32"), 4'000'000'000);
    EXPECT_EQ(metadata.integer("i32"), -2'000'000'000);
    EXPECT_EQ(metadata.integer("u64"), std::int64_t{1} << 62);
    EXPECT_EQ(metadata.integer("i64"), -(std::int64_t{1} << 62));
    EXPECT_EQ(metadata.real("f32"), 0.25);
    EXPECT_EQ(metadata.real("f64"), 1e300);
    EXPECT_EQ(metadata.boolean("yes"), true);
    EXPECT_EQ(metadata.text("text"), "a");  // the writer's literal ends there
    EXPECT_THAT(*metadata.texts("texts"),
                ElementsAre("", "x", "long enough to leave the small buffer"));
    EXPECT_TRUE(metadata.texts("none")->empty());
    EXPECT_THAT(*metadata.integers("integers"), ElementsAre(-1, 7));
    EXPECT_EQ(metadata.length("texts"), 3);
    EXPECT_FALSE(metadata.integer("absent").has_value());
    EXPECT_TRUE(metadata.has("f64"));
}

TEST_F(GgufMetadataTest, AnotherKindIsNamed) {
    writer_.text("text", "x");
    writer_.integers("list", {1});
    writer_.integer("huge", GgufType::u64, -1);
    writer_.real("nan", std::numeric_limits<double>::quiet_NaN());
    writer_.integer("bool", GgufType::boolean, 2);
    std::unique_ptr<GgufFile> const file = open();
    GgufMetadata const& metadata = file->metadata();
    auto const refused = [](std::function<void()> const& action) { return test::refusal(action); };
    EXPECT_THAT(refused([&] { static_cast<void>(metadata.integer("text")); }),
                HasSubstr("'text' at byte 40 is of type string, but must be a whole number"));
    EXPECT_THAT(refused([&] { static_cast<void>(metadata.integer("list")); }),
                HasSubstr("an array of int32"));
    EXPECT_THAT(refused([&] { static_cast<void>(metadata.texts("list")); }),
                HasSubstr("an array of strings"));
    EXPECT_THAT(refused([&] { static_cast<void>(metadata.integer("huge")); }),
                HasSubstr("too large"));
    EXPECT_THAT(refused([&] { static_cast<void>(metadata.real("nan")); }), HasSubstr("not finite"));
    EXPECT_THAT(refused([&] { static_cast<void>(metadata.boolean("bool")); }), HasSubstr("0 or 1"));
    EXPECT_THAT(refused([&] { static_cast<void>(metadata.required_integer("absent")); }),
                HasSubstr("lacks absent"));
}

TEST_F(GgufMetadataTest, RefusesAKeyTwice) {
    writer_.u32("key", 1);
    writer_.u32("key", 1);
    EXPECT_THAT(refused(), HasSubstr("the metadata key 'key' comes twice"));
}

TEST_F(GgufMetadataTest, RefusesUnknownTypes) {
    writer_.raw("key", 13, "x");
    EXPECT_THAT(refused(), HasSubstr("the type of 'key' is 13"));
}

TEST_F(GgufMetadataTest, RefusesLengthsThatCannotFit) {
    writer_.raw("key", number(GgufType::string), le_bytes(~std::uint64_t{0}));
    EXPECT_THAT(refused(), HasSubstr("cannot fit"));
    for (GgufType const element :
         {GgufType::u8, GgufType::f64, GgufType::string, GgufType::array}) {
        for (std::uint64_t const count :
             {std::uint64_t{1000}, std::uint64_t{1} << 61, ~std::uint64_t{0}}) {
            writer_ = {};
            writer_.raw("key", number(GgufType::array),
                        le_bytes(number(element)) + le_bytes(count));
            EXPECT_THAT(refused(), HasSubstr("cannot fit"))
                << gguf_type_name(element) << ' ' << count;
        }
    }
}

TEST_F(GgufMetadataTest, ArraysMayNestButNotDeeply) {
    auto const nested = [](int depth) {
        std::string bytes;
        for (int i = 1; i < depth; ++i) {
            bytes += le_bytes(number(GgufType::array)) + le_bytes(std::uint64_t{1});
        }
        bytes += le_bytes(number(GgufType::u8)) + le_bytes(std::uint64_t{1}) + "x";
        return bytes;
    };
    writer_.raw("four", number(GgufType::array), nested(4));
    EXPECT_EQ(open()->metadata().length("four"), 1);
    writer_.raw("many", number(GgufType::array), nested(200'000));
    EXPECT_THAT(refused(), HasSubstr("nests arrays more than 4 deep"));
}

}  // namespace
}  // namespace longhaul::io
