#include "io/gguf_file.hpp"

#include "support/models/encode_tensor.hpp"
#include "support/models/gguf_writer.hpp"
#include "unit/io/weights/weights_support.hpp"

#include <numeric>

namespace longhaul::io {
namespace {

using test::GgufWriter;
using test::le_bytes;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ4Zero = 2;
constexpr std::uint32_t kQ4K = 12;

class GgufFileTest : public ::testing::Test {
  protected:
    std::unique_ptr<GgufFile> open() { return open(writer_.finish()); }
    std::unique_ptr<GgufFile> open(std::string const& bytes) {
        return GgufFile::open(folder_.put("test.gguf", bytes));
    }
    std::string refused() { return refused(writer_.finish()); }
    std::string refused(std::string const& bytes) {
        return test::refusal([&] { static_cast<void>(open(bytes)); });
    }
    // Replaces the field that begins at the boundary of this number.
    static std::string patched(std::string bytes, std::int64_t at, std::string const& field) {
        return bytes.replace(static_cast<std::size_t>(at), field.size(), field);
    }

    GgufWriter writer_;
    test::ScratchFolder folder_;
};

std::string floats(int count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    std::iota(values.begin(), values.end(), 0.0F);
    return test::encode_tensor(TensorType::f32, values);
}

TEST_F(GgufFileTest, ReadsSlices) {
    writer_.tensor("norm", {5}, kF32, floats(5));
    writer_.tensor("matrix", {3, 4}, kF32, floats(12));
    std::unique_ptr<GgufFile> const file = open();
    ASSERT_EQ(file->tensors().size(), 2U);
    TensorInfo const* matrix = file->find("matrix");
    ASSERT_NE(matrix, nullptr);
    EXPECT_THAT(matrix->shape, ElementsAre(3, 4));
    EXPECT_EQ(matrix->file_offset % 32, 0);
    EXPECT_EQ(matrix->bytes, 48);
    std::vector<float> out(10, -1.0F);
    file->read(*matrix, {1, 3}, {1, 3}, out.data(), 5);
    EXPECT_THAT(out, ElementsAre(5, 6, -1, -1, -1, 9, 10, -1, -1, -1));
    file->read(*file->find("norm"), {0, 1}, {2, 5}, out.data(), 3);
    EXPECT_EQ(out[2], 4.0F);
    EXPECT_EQ(file->find("absent"), nullptr);
}

TEST_F(GgufFileTest, VersionTwoIsTheSame) {
    writer_.version = 2;
    writer_.tensor("norm", {5}, kF32, floats(5));
    EXPECT_NE(open()->find("norm"), nullptr);
}

TEST_F(GgufFileTest, RefusesOtherFilesByName) {
    EXPECT_THAT(refused(""), HasSubstr("the magic number needs 4 bytes"));
    EXPECT_THAT(refused("PK\x03\x04 and so on, a zip archive"),
                HasSubstr("does not begin with \"GGUF\""));
    writer_.version = 1;
    EXPECT_THAT(refused(), HasSubstr("GGUF version 1"));
    writer_.version = 4;
    EXPECT_THAT(refused(), HasSubstr("GGUF version 4"));
    writer_.version = 0x03000000;
    EXPECT_THAT(refused(), HasSubstr("big-endian"));
}

TEST_F(GgufFileTest, HonoursAndChecksTheAlignment) {
    writer_.alignment = 256;
    writer_.u32("general.alignment", 256);
    writer_.tensor("a", {5}, kF32, floats(5));
    writer_.tensor("b", {5}, kF32, floats(5));
    EXPECT_EQ(open()->find("b")->file_offset % 256, 0);
    for (std::int64_t const wrong : {0, 4, 33, 96, 1 << 21}) {
        writer_ = {};
        writer_.u32("general.alignment", wrong);
        EXPECT_THAT(refused(), HasSubstr("general.alignment is " + std::to_string(wrong)));
    }
}

TEST_F(GgufFileTest, RefusesOffsetsThatDoNotFit) {
    writer_.tensor("first", {64}, kF32, floats(64));
    writer_.tensor("second", {8}, kF32, floats(8));
    std::string const good = writer_.finish();
    ASSERT_EQ(refused(good), "");
    // magic ends at 4; then version, counts, [head, offset] x 2
    std::int64_t const offset = writer_.boundaries()[6];
    EXPECT_THAT(refused(patched(good, offset, le_bytes(std::uint64_t{8}))),
                HasSubstr("no multiple of 32"));
    EXPECT_THAT(refused(patched(good, offset, le_bytes(~std::uint64_t{31}))),
                HasSubstr("lies behind"));
    EXPECT_THAT(refused(patched(good, offset, le_bytes(std::uint64_t{128}))),
                AllOf(HasSubstr("'first' and 'second' share bytes"), HasSubstr("test.gguf")));
    EXPECT_THAT(refused(good.substr(0, good.size() - 1)),
                HasSubstr("'second' would need 32 bytes"));
}

TEST_F(GgufFileTest, RefusesImpossibleShapes) {
    auto const shaped = [&](std::vector<std::int64_t> const& shape, std::uint32_t type) {
        writer_ = {};
        writer_.tensor("t", shape, type, floats(8));
        return refused();
    };
    EXPECT_THAT(shaped({}, kF32), HasSubstr("has 0 dimensions"));
    EXPECT_THAT(shaped({1, 1, 1, 1, 1}, kF32), HasSubstr("has 5 dimensions"));
    EXPECT_THAT(shaped({0}, kF32), HasSubstr("dimension 0"));
    EXPECT_THAT(shaped({-1}, kF32), HasSubstr("impossible dimension"));
    EXPECT_THAT(shaped({std::int64_t{1} << 40, std::int64_t{1} << 40}, kF32),
                HasSubstr("impossible shape"));
    EXPECT_THAT(shaped({std::int64_t{1} << 61}, kF32), HasSubstr("impossible shape"));
    EXPECT_THAT(shaped({std::int64_t{1} << 60}, kF32), HasSubstr("would need"));
    EXPECT_THAT(shaped({2, 33}, kQ4Zero),
                HasSubstr("'t' of type Q4_0 has the impossible shape [2, 33]"));
}

TEST_F(GgufFileTest, RefusesATensorTwice) {
    writer_.tensor("t", {8}, kF32, floats(8));
    writer_.tensor("t", {8}, kF32, floats(8));
    EXPECT_THAT(refused(), HasSubstr("'t' is listed twice"));
}

TEST_F(GgufFileTest, RefusesCountsThatCannotFit) {
    std::string const good = writer_.finish();
    for (std::int64_t const at : {8, 16}) {
        for (std::uint64_t const count :
             {std::uint64_t{1}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
            EXPECT_THAT(refused(patched(good, at, le_bytes(count))), HasSubstr("cannot fit"));
        }
    }
}

TEST_F(GgufFileTest, NamesATypeItCannotRead) {
    writer_.tensor("t", {256}, kQ4K, std::string(144, 'x'));
    writer_.tensor("u", {4}, 77, std::string(16, 'x'));
    std::unique_ptr<GgufFile> const file = open();
    EXPECT_EQ(file->find("t"), nullptr);
    EXPECT_EQ(file->foreign_type("t"), "Q4_K");
    EXPECT_EQ(file->foreign_type("u"), "number 77");
    EXPECT_EQ(file->foreign_type("v"), "");
}

TEST_F(GgufFileTest, HostileNamesAreShownHarmlessly) {
    std::string const name = "\x1b[2J" + std::string(100, 'x');
    writer_.tensor(name, {8}, kF32, floats(8));
    writer_.tensor(name, {8}, kF32, floats(8));
    EXPECT_THAT(refused(), AllOf(HasSubstr("'\\x1b[2Jxxx"), HasSubstr("xxx...'")));
    writer_ = {};
    writer_.tensor(std::string(257, 'x'), {8}, kF32, floats(8));
    EXPECT_THAT(refused(), HasSubstr("more than the 256 allowed"));
}

using GgufFileDeathTest = GgufFileTest;

TEST_F(GgufFileDeathTest, ASliceOutsideTheTensorIsADefect) {
    writer_.tensor("t", {2, 4}, kF32, floats(8));
    std::unique_ptr<GgufFile> const file = open();
    TensorInfo const& tensor = *file->find("t");
    float out[16];
    EXPECT_DEATH(file->read(tensor, {0, 3}, {0, 4}, out, 4), "precondition");
    EXPECT_DEATH(file->read(tensor, {0, 2}, {-1, 4}, out, 5), "precondition");
    EXPECT_DEATH(file->read(tensor, {0, 2}, {0, 4}, out, 3), "precondition");
}

}  // namespace
}  // namespace longhaul::io
