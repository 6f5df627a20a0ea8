#include "io/video_tokens_file.hpp"

#include "support/video_tokens/write_video_tokens.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>
#include <chrono>
#include <limits>
#include <random>

namespace longhaul::io {
namespace {

using test::VideoElement;
using test::VideoTokensSpec;
using testing::HasSubstr;

VideoTokensSpec good_spec(std::int64_t rows = 37, std::int64_t width = 24) {
    VideoTokensSpec spec;
    spec.shape = {rows, width};
    spec.values = test::random_rows(5, rows * width);
    return spec;
}

class VideoTokensFileTest : public testing::Test {
  protected:
    std::filesystem::path write(VideoTokensSpec const& spec, char const* name = "v.h5") const {
        test::write_video_tokens(spec, folder / name);
        return folder / name;
    }

    /// The error of whatever `action` does with the file: "code: message".
    template <class Action>
    static std::string refusal(Action action) {
        try {
            action();
        } catch (VideoTokensError const& error) {
            EXPECT_EQ(error.error.message, error.what());
            return error.error.code + ": " + error.error.message;
        }
        return "nothing wrong";
    }
    static std::string open_refusal(std::filesystem::path const& path) {
        return refusal([&] { VideoTokensFile const file(path); });
    }

    ScratchFolder folder;
};

TEST_F(VideoTokensFileTest, ReadsEveryFormOfEveryType) {
    using Chunk = std::vector<std::int64_t>;
    for (VideoElement const element : {VideoElement::f32, VideoElement::f16, VideoElement::bf16}) {
        for (Chunk const& chunk : {Chunk{}, Chunk{5, 7}, Chunk{5, 24}, Chunk{1, 1}, Chunk{37, 5}}) {
            VideoTokensSpec spec = good_spec();
            spec.element = element;
            spec.chunk = chunk;
            VideoTokensFile const file(write(spec));
            EXPECT_EQ(file.info().num_rows, 37);
            EXPECT_EQ(file.info().width, 24);
            std::vector<float> rows(11 * 24);
            for (std::int64_t const begin : {0, 4, 20, 26}) {
                file.read({begin, begin + 11}, rows.data());
                EXPECT_TRUE(std::equal(rows.begin(), rows.end(), spec.values.begin() + begin * 24))
                    << "element " << static_cast<int>(element) << " chunk "
                    << testing::PrintToString(chunk) << " from row " << begin;
            }
            file.read({3, 3}, nullptr);
        }
    }
}

TEST_F(VideoTokensFileTest, SaysWhatStandsBesideTheRows) {
    VideoTokensSpec spec = good_spec();
    spec.model = "some-model";
    spec.width = 24;
    spec.timestamps = 37;
    VideoTokensFile const file(write(spec));
    EXPECT_EQ(file.info().model, "some-model");
    EXPECT_TRUE(file.info().has_timestamps);
    file.check_model(24, "some-model");
    file.check_model(24, "");
    EXPECT_THAT(refusal([&] { file.check_model(24, "another"); }),
                testing::AllOf(HasSubstr("bad_video_tokens"), HasSubstr("'some-model'"),
                               HasSubstr("'another'"), HasSubstr("run that model")));
    EXPECT_THAT(refusal([&] { file.check_model(25, "some-model"); }),
                testing::AllOf(HasSubstr("bad_video_tokens"), HasSubstr("24 numbers"),
                               HasSubstr("width is 25"), HasSubstr("some-model")));
    VideoTokensFile const silent(write(good_spec(), "silent.h5"));
    EXPECT_FALSE(silent.info().has_timestamps);
    silent.check_model(24, "any");
}

TEST_F(VideoTokensFileTest, TheHashFollowsTheRowsAlone) {
    VideoTokensSpec const spec = good_spec(700, 33);
    ContentHash const hash = VideoTokensFile(write(spec)).hash_rows();
    VideoTokensSpec same = spec;
    same.chunk = {64, 10};
    same.model = "m";
    EXPECT_EQ(VideoTokensFile(write(same, "b.h5")).hash_rows(), hash);
    VideoTokensSpec other = spec;
    other.values[690 * 33] += 1.0F;
    EXPECT_NE(VideoTokensFile(write(other, "c.h5")).hash_rows(), hash);
    other = spec;
    other.element = VideoElement::bf16;
    EXPECT_NE(VideoTokensFile(write(other, "d.h5")).hash_rows(), hash);
    other = spec;
    other.shape = {33, 700};
    EXPECT_NE(VideoTokensFile(write(other, "e.h5")).hash_rows(), hash);
}

TEST_F(VideoTokensFileTest, HashesAFileOfManySlices) {
    VideoTokensSpec spec = good_spec(3000, 1000);  // 12 MB
    VideoTokensFile const file(write(spec));
    EXPECT_EQ(file.hash_rows(), file.hash_rows());
    spec.values[2999 * 1000 + 999] = std::numeric_limits<float>::infinity();
    VideoTokensFile const bad(write(spec, "bad.h5"));
    EXPECT_THAT(refusal([&] { static_cast<void>(bad.hash_rows()); }),
                testing::AllOf(HasSubstr("non_finite"), HasSubstr("row 2999")));
}

TEST_F(VideoTokensFileTest, NamesTheRowThatIsNotFinite) {
    for (VideoElement const element : {VideoElement::f32, VideoElement::f16, VideoElement::bf16}) {
        VideoTokensSpec spec = good_spec();
        spec.element = element;
        spec.values[17 * 24 + 3] = std::numeric_limits<float>::quiet_NaN();
        VideoTokensFile const file(write(spec));
        EXPECT_THAT(refusal([&] { static_cast<void>(file.hash_rows()); }),
                    testing::AllOf(HasSubstr("non_finite"), HasSubstr("row 17 ")));
    }
}

TEST_F(VideoTokensFileTest, RefusesWhatIsNoFile) {
    EXPECT_THAT(open_refusal(folder / "missing.h5"),
                testing::AllOf(HasSubstr("unreadable"), HasSubstr("missing.h5"),
                               HasSubstr("No such file")));
    EXPECT_THAT(open_refusal(folder / ""), HasSubstr("unreadable"));
    ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
    EXPECT_THAT(open_refusal(folder / "pipe"), HasSubstr("not a regular file"));
    EXPECT_THAT(open_refusal(folder.write("empty.h5", "")), HasSubstr("empty"));
    EXPECT_THAT(open_refusal(folder.write("text.h5", std::string(9000, 'x'))),
                testing::AllOf(HasSubstr("unreadable"), HasSubstr("signature")));
}

struct BadLayout {
    char const* name;
    void (*change)(VideoTokensSpec&);
    char const* code;
    char const* message;
};

class VideoTokensLayout : public VideoTokensFileTest,
                          public testing::WithParamInterface<BadLayout> {};

TEST_P(VideoTokensLayout, IsRefusedByName) {
    VideoTokensSpec spec = good_spec();
    GetParam().change(spec);
    EXPECT_THAT(open_refusal(write(spec)),
                testing::AllOf(HasSubstr(GetParam().code), HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Bad, VideoTokensLayout,
    testing::Values(
        BadLayout{"flat", [](VideoTokensSpec& s) { s.shape = {37 * 24}; }, "bad_video_tokens",
                  "1 dimensions"},
        BadLayout{"deep",
                  [](VideoTokensSpec& s) {
                      s.shape = {37, 12, 2};
                  },
                  "bad_video_tokens", "3 dimensions"},
        BadLayout{"scalar",
                  [](VideoTokensSpec& s) {
                      s.shape = {};
                      s.values = {1.0F};
                  },
                  "bad_video_tokens", "dimensions"},
        BadLayout{"rowless",
                  [](VideoTokensSpec& s) {
                      s.shape = {0, 24};
                      s.values = {};
                  },
                  "empty", "no rows"},
        BadLayout{"widthless",
                  [](VideoTokensSpec& s) {
                      s.shape = {37, 0};
                      s.values = {};
                  },
                  "bad_video_tokens", "impossible shape"},
        BadLayout{"doubles", [](VideoTokensSpec& s) { s.element = VideoElement::f64; },
                  "bad_video_tokens", "float32, float16"},
        BadLayout{"integers", [](VideoTokensSpec& s) { s.element = VideoElement::i32; },
                  "bad_video_tokens", "float32, float16"},
        BadLayout{"big_endian",
                  [](VideoTokensSpec& s) { s.element = VideoElement::f32_big_endian; },
                  "bad_video_tokens", "little-endian"},
        BadLayout{"compressed",
                  [](VideoTokensSpec& s) {
                      s.chunk = {8, 24};
                      s.deflate = true;
                  },
                  "bad_video_tokens", "compressed"},
        BadLayout{"unmarked", [](VideoTokensSpec& s) { s.element = VideoElement::u16_unmarked; },
                  "bad_video_tokens", "\"bf16\""},
        BadLayout{"misnamed", [](VideoTokensSpec& s) { s.name = "token"; }, "bad_video_tokens",
                  "no dataset /tokens"},
        BadLayout{"stamps", [](VideoTokensSpec& s) { s.timestamps = 36; }, "bad_video_tokens",
                  "/timestamps"},
        BadLayout{"width", [](VideoTokensSpec& s) { s.width = 23; }, "bad_video_tokens", "says 23"},
        BadLayout{"variable_model",
                  [](VideoTokensSpec& s) {
                      s.model = "m";
                      s.variable_text = true;
                  },
                  "bad_video_tokens", "attribute model is text of variable length"},
        BadLayout{"variable_dtype",
                  [](VideoTokensSpec& s) {
                      s.element = VideoElement::bf16;
                      s.variable_text = true;
                  },
                  "bad_video_tokens", "attribute dtype is text of variable length"},
        BadLayout{"unwritten", [](VideoTokensSpec& s) { s.values = {}; }, "bad_video_tokens",
                  "never written"},
        BadLayout{"unwritten_chunks",
                  [](VideoTokensSpec& s) {
                      s.values = {};
                      s.shape = {std::int64_t{1} << 38, 24};
                      s.chunk = {1024, 24};
                  },
                  "bad_video_tokens", "never written"},
        BadLayout{"huge",
                  [](VideoTokensSpec& s) {
                      s.values = {};
                      s.shape = {std::int64_t{1} << 50, 24};
                      s.chunk = {1024, 24};
                  },
                  "bad_video_tokens", "impossible shape"}),
    [](testing::TestParamInfo<BadLayout> const& which) { return which.param.name; });

TEST_F(VideoTokensFileTest, RefusesRowsThatLieElsewhere) {
    auto const real = write(good_spec(), "real.h5");
    for (test::Elsewhere const where :
         {test::Elsewhere::external_link, test::Elsewhere::soft_link,
          test::Elsewhere::external_storage, test::Elsewhere::virtual_dataset}) {
        test::write_tokens_elsewhere(where, folder / "v.h5", real, 37, 24);
        EXPECT_THAT(open_refusal(folder / "v.h5"), HasSubstr("bad_video_tokens"))
            << static_cast<int>(where);
    }
}

// Whatever is missing at the end, the file is refused on opening or its hash on reading: never a hash of something else.
TEST_F(VideoTokensFileTest, RefusesAFileCutShortAnywhere) {
    for (bool const chunked : {false, true}) {
        VideoTokensSpec spec = good_spec(200, 16);
        if (chunked) {
            spec.chunk = {32, 16};
        }
        std::string const bytes = (write(spec), folder.read("v.h5"));
        for (std::size_t cut = 1; cut < bytes.size(); cut += 1 + bytes.size() / 97) {
            auto const path = folder.write("cut.h5", bytes.substr(0, bytes.size() - cut));
            EXPECT_THAT(refusal([&] { static_cast<void>(VideoTokensFile(path).hash_rows()); }),
                        HasSubstr("unreadable"))
                << bytes.size() - cut << " of " << bytes.size() << " bytes, chunked " << chunked;
        }
    }
}

// Damage to what describes the rows is refused, or does no harm, or gives other rows and so another hash.
TEST_F(VideoTokensFileTest, SurvivesDamageAnywhere) {
#if defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "HDF5 1.10 itself reads a few bytes too many in damaged headers";
#endif
    std::mt19937_64 random(1);
    for (int i = 0; i < 1200; ++i) {
        VideoTokensSpec spec = good_spec(60, 16);
        spec.element = i % 2 == 0 ? VideoElement::f32 : VideoElement::bf16;
        spec.model = "some-model";
        spec.width = 16;
        spec.timestamps = 60;
        if (i % 3 != 0) {
            spec.chunk = {16, i % 3 == 1 ? 16 : 7};
        }
        std::string bytes = (write(spec), folder.read("v.h5"));
        for (std::uint64_t flips = 1 + random() % 6; flips > 0; --flips) {
            std::size_t const place = random() % 2 == 0 ? random() % 2048 : random();
            char& byte = bytes[place % bytes.size()];
            byte = static_cast<char>(random() % 2 == 0 ? byte ^ (1 << random() % 8) : random());
        }
        auto const path = folder.write("m.h5", bytes);
        std::string const outcome = refusal([&] {
            VideoTokensFile const file(path);
            static_cast<void>(file.hash_rows());
        });
        EXPECT_THAT(outcome, testing::AnyOf(HasSubstr("nothing wrong"), HasSubstr("m.h5")));
    }
}

TEST_F(VideoTokensFileTest, NoticesThatTheFileChanged) {
    auto const path = write(good_spec());
    VideoTokensFile const file(path);
    std::filesystem::last_write_time(
        path, std::filesystem::last_write_time(path) + std::chrono::seconds(3));
    std::vector<float> rows(24);
    EXPECT_THAT(refusal([&] {
                    file.read({0, 1}, rows.data());
                }),
                testing::AllOf(HasSubstr("unreadable"), HasSubstr("changed")));
    EXPECT_THAT(refusal([&] { static_cast<void>(file.hash_rows()); }), HasSubstr("changed"));
    // One that is only removed or replaced stays what it was for those who have it open.
    VideoTokensFile const again(path);
    std::filesystem::remove(path);
    again.read({0, 1}, rows.data());
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), good_spec().values.begin()));
}

}  // namespace
}  // namespace longhaul::io
