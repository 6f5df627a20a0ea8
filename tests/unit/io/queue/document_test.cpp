#include "io/document.hpp"

#include "io/job_utf8.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>
#include <random>

namespace longhaul::io {
namespace {

using testing::HasSubstr;

Job job_of(std::filesystem::path path) {
    Job job;
    job.id = std::string("a");
    job.path = std::move(path);
    return job;
}

JobError error_of(Job const& job, std::int64_t max_bytes = kMaxDocumentBytes) {
    auto result = load_document(job, max_bytes);
    if (std::holds_alternative<std::string>(result)) {
        ADD_FAILURE() << "was read";
        return {};
    }
    return std::get<JobError>(result);
}

TEST(Document, ReadsFilesAndInlineTextUnchanged) {
    ScratchFolder const folder;
    for (std::size_t size : {1U, 4096U, (1U << 20U) - 1, 1U << 20U, (1U << 20U) + 1, 3'000'000U}) {
        std::string text(size, 'x');
        text.back() = '\n';
        EXPECT_EQ(std::get<std::string>(load_document(job_of(folder.write("doc", text)))), text);
        EXPECT_EQ(std::get<std::int64_t>(document_bytes(job_of(folder / "doc"))),
                  static_cast<std::int64_t>(size));
    }
    Job inline_job;
    inline_job.text = std::string(
        "\xef\xbb\xbf"
        "a\0\r\n",
        7);
    EXPECT_EQ(std::get<std::string>(load_document(inline_job)), *inline_job.text);
    Job ids;
    ids.token_ids = {1, 2};
    EXPECT_EQ(std::get<std::string>(load_document(ids)), "");
}

TEST(Document, ReadsFilesWithoutASize) {
    EXPECT_THAT(std::get<std::string>(load_document(job_of("/proc/self/status"))),
                HasSubstr("Pid:"));
}

TEST(Document, SaysWhatIsWrongWithAFile) {
    ScratchFolder const folder;
    EXPECT_EQ(error_of(job_of(folder / "missing")).code, "unreadable");
    EXPECT_THAT(error_of(job_of(folder / "missing")).message, HasSubstr("missing: No such file"));
    EXPECT_THAT(error_of(job_of(folder / "")).message, HasSubstr("folder"));
    EXPECT_EQ(error_of(job_of(folder.write("empty", ""))).code, "empty");
    EXPECT_EQ(error_of(job_of("/dev/null")).code, "unreadable");
    ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
    EXPECT_EQ(error_of(job_of(folder / "pipe")).code, "unreadable");
    JobError const invalid = error_of(job_of(folder.write("latin1", "caf\xe9 au lait")));
    EXPECT_EQ(invalid.code, "invalid_utf8");
    EXPECT_THAT(invalid.message, HasSubstr("byte 3"));
    EXPECT_EQ(error_of(job_of(folder.write("large", "123456")), 5).code, "too_long");
    EXPECT_EQ(std::get<std::string>(load_document(job_of(folder / "large"), 6)), "123456");
    EXPECT_EQ(std::get<JobError>(document_bytes(job_of(folder / "large"), 5)).code, "too_long");
    EXPECT_EQ(std::get<JobError>(document_bytes(job_of(folder / "empty"))).code, "empty");
}

// A slow, obvious decoder: the oracle for the fast one.
bool decodes(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        unsigned const first = static_cast<unsigned char>(text[i]);
        std::size_t const length = first < 0x80        ? 1
                                   : first >> 5U == 6  ? 2
                                   : first >> 4U == 14 ? 3
                                   : first >> 3U == 30 ? 4
                                                       : 0;
        if (length == 0 || i + length > text.size()) return false;
        std::uint32_t code = length == 1 ? first : first & (0xffU >> (length + 1));
        for (std::size_t j = 1; j < length; ++j) {
            unsigned const next = static_cast<unsigned char>(text[i + j]);
            if (next >> 6U != 2) return false;
            code = code << 6U | (next & 0x3fU);
        }
        std::uint32_t const least = length == 1   ? 0
                                    : length == 2 ? 0x80
                                    : length == 3 ? 0x800
                                                  : 0x10000;
        if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
        i += length;
    }
    return true;
}

TEST(Utf8, AgreesWithADecoderOnRandomBytes) {
    constexpr unsigned kSeed = 5;
    RecordProperty("seed", kSeed);
    std::mt19937 random(kSeed);
    std::vector<std::string> const pieces = {"a",
                                             "\xc3\xa9",
                                             "\xe2\x82\xac",
                                             "\xf0\x9f\x98\x80",
                                             "\xed\x9f\xbf",
                                             "\xee\x80\x80",
                                             "\xf4\x8f\xbf\xbf",
                                             "\xed\xa0\x80",
                                             "\xf4\x90\x80\x80",
                                             "\xc0\x80",
                                             "\xe0\x9f\xbf",
                                             "\xf0\x8f\xbf\xbf",
                                             "\x80",
                                             "\xff",
                                             "\xe2\x82",
                                             "\xf0\x9f"};
    int bad_ones = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string text;
        for (auto n = random() % 12; n > 0; --n)
            text += pieces[random() % (round % 2 == 0 ? 7 : pieces.size())];
        auto const bad = first_invalid_utf8(text);
        ASSERT_EQ(!bad, decodes(text));
        if (bad) {
            ++bad_ones;
            ASSERT_TRUE(decodes(text.substr(0, static_cast<std::size_t>(*bad))));
        }
        std::string const repaired = replace_invalid_utf8(text);
        ASSERT_TRUE(decodes(repaired));
        ASSERT_EQ(repaired == text, !bad);
    }
    EXPECT_GT(bad_ones, 1000);
    EXPECT_EQ(replace_invalid_utf8("a\xff\xe2\x82z"), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
}

}  // namespace
}  // namespace longhaul::io
