#include "io/safetensors_file.hpp"

#include "support/models/encode_tensor.hpp"
#include "support/models/gguf_writer.hpp"
#include "support/models/safetensors_writer.hpp"
#include "unit/io/weights/weights_support.hpp"

namespace longhaul::io {
namespace {

using test::SafetensorsWriter;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SafetensorsFileTest : public ::testing::Test {
  protected:
    std::unique_ptr<SafetensorsFile> open(std::string const& bytes) {
        return SafetensorsFile::open(folder_.put("model.safetensors", bytes));
    }
    std::string refused(std::string const& bytes) {
        return test::refusal([&] { static_cast<void>(open(bytes)); });
    }
    // Sixteen bytes of data under this header.
    std::string header(std::string const& text) {
        return SafetensorsWriter::with_header(text, std::string(16, 'x'));
    }

    test::ScratchFolder folder_;
};

TEST_F(SafetensorsFileTest, ReadsSlicesOfAllItsTypes) {
    std::vector<float> const values{0, 1, 2, 3, 4, 5};
    SafetensorsWriter writer;
    writer.tensor("odd", "BF16", {3},
                  test::encode_tensor(TensorType::bf16, {7, 8, 9}));  // the next ones lie unaligned
    writer.tensor("f32", "F32", {3, 2}, test::encode_tensor(TensorType::f32, values));
    writer.tensor("f16", "F16", {2, 3}, test::encode_tensor(TensorType::f16, values));
    writer.tensor("f64", "F64", {1}, std::string(8, 'x'));
    writer.tensor("empty", "F32", {0, 4}, "");
    std::unique_ptr<SafetensorsFile> const file = open(writer.finish());
    std::vector<float> out(4);
    file->read(*file->find("f32"), {1, 3}, {0, 2}, out.data(), 2);
    EXPECT_THAT(out, ElementsAre(2, 3, 4, 5));
    file->read(*file->find("f16"), {0, 2}, {1, 3}, out.data(), 2);
    EXPECT_THAT(out, ElementsAre(1, 2, 4, 5));
    file->read(*file->find("odd"), {0, 1}, {0, 3}, out.data(), 4);
    EXPECT_EQ(out[2], 9.0F);
    EXPECT_EQ(file->find("f64"), nullptr);
    EXPECT_EQ(file->foreign_type("f64"), "'F64'");
}

TEST_F(SafetensorsFileTest, RefusesBadLengths) {
    EXPECT_THAT(refused(""), HasSubstr("has 0 bytes"));
    EXPECT_THAT(refused("1234567"), HasSubstr("has 7 bytes"));
    EXPECT_THAT(refused(test::le_bytes(std::uint64_t{3}) + "{}"), HasSubstr("would have 3 bytes"));
    EXPECT_THAT(refused(test::le_bytes(~std::uint64_t{0}) + "{}"),
                HasSubstr("would have 18446744073709551615 bytes"));
    EXPECT_THAT(
        refused(test::le_bytes(std::uint64_t{20} << 20) + std::string(std::size_t{20} << 20, ' ')),
        HasSubstr("at most 16777216"));
}

TEST_F(SafetensorsFileTest, RefusesBadJson) {
    for (char const* text :
         {"", "{", "[]", "null", "  ", "{\"a\":1}", R"({"a":{"dtype":"F32")", "{} {}"}) {
        EXPECT_NE(refused(header(text)), "") << text;
    }
    EXPECT_NE(refused(header(std::string(100'000, '['))), "");
    EXPECT_NE(refused(header(R"({"a":{"dtype":"F32","shape":)" + std::string(50'000, '['))), "");
}

TEST_F(SafetensorsFileTest, RefusesBadEntries) {
    auto const entry = [&](std::string const& text) {
        return refused(header(R"({"a":{)" + text + "}}"));
    };
    ASSERT_EQ(entry(R"("dtype":"F32","shape":[4],"data_offsets":[0,16])"), "");
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[4])"), HasSubstr("once each"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[4],"shape":[4],"data_offsets":[0,16])"),
                HasSubstr("once each"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[4],"data_offsets":[0,16,16])"),
                HasSubstr("once each"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[4],"data_offsets":[16,0])"),
                HasSubstr("once each"));
    EXPECT_THAT(entry(R"("dtype":1,"shape":[4],"data_offsets":[0,16])"), HasSubstr("no string"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[-4],"data_offsets":[0,16])"),
                HasSubstr("no whole number"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[4.0],"data_offsets":[0,16])"),
                HasSubstr("no whole number"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,16])"),
                HasSubstr("no whole number"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,16])"),
                HasSubstr("does not fit together"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[5],"data_offsets":[0,16])"),
                HasSubstr("does not fit together"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[4],"data_offsets":[8,24])"),
                HasSubstr("would need 16 bytes"));
    EXPECT_THAT(
        entry(
            R"("dtype":"F32","shape":[4],"data_offsets":[9223372036854775791,9223372036854775807])"),
        HasSubstr("begins at byte"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,16])"),
                HasSubstr("at most 8"));
    EXPECT_THAT(entry(R"("dtype":"F32","shape":[4],"data_offsets":[0,16],"more":1)"),
                HasSubstr("not part of the format"));
}

TEST_F(SafetensorsFileTest, RefusesOverlapsGapsAndDuplicates) {
    auto const two = [&](std::string const& first, std::string const& second) {
        return refused(header("{" + first + "," + second + "}"));
    };
    std::string const a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
    EXPECT_EQ(two(a, R"("b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]})"), "");
    EXPECT_THAT(two(a, R"("b":{"dtype":"F32","shape":[3],"data_offsets":[4,16]})"),
                HasSubstr("share bytes"));
    EXPECT_THAT(two(a, R"("b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]})"),
                HasSubstr("cover 12 of the 16"));
    EXPECT_THAT(two(a, a), HasSubstr("listed twice"));
    EXPECT_THAT(two(R"("__metadata__":{})", R"("__metadata__":{})"),
                HasSubstr("__metadata__ must come once"));
    EXPECT_THAT(two(R"("__metadata__":3)", a), HasSubstr("__metadata__"));
}

}  // namespace
}  // namespace longhaul::io
