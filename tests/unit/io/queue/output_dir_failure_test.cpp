#include "io/output_dir.hpp"
#include "io/result.hpp"
#include "support/file_size_limit.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gmock/gmock.h>

#include <fcntl.h>

namespace longhaul::io {
namespace {

using test::FileSizeLimit;
using testing::HasSubstr;

std::string line_of(std::string const& id, std::size_t text_bytes) {
    JobResult result;
    result.id = id;
    result.job_hash = std::string("h");
    result.text = std::string(text_bytes, 'x');
    return to_json_line(result);
}

RunIdentity const kIdentity{"m", "f32", "t", "n"};

TEST(OutputDirFailure, HalfALineIsTakenBack) {
    ScratchFolder const scratch;
    std::string const first = line_of("a", 1000);
    {
        OutputDir out(scratch / "", kIdentity);
        out.append(first);
        {
            FileSizeLimit const limit(3000);
            std::string const message =
                message_of<IoError>([&] { out.append(line_of("b", 5000)); });
            EXPECT_THAT(message, HasSubstr("results.jsonl"));
            EXPECT_THAT(message, HasSubstr("File too large"));
            EXPECT_EQ(scratch.read("results.jsonl"), first + "\n");
            EXPECT_FALSE(out.known("b"));
            out.append(line_of("c", 100));  // what fits is still taken
        }
        out.append(line_of("b", 5000));
    }
    OutputDir const out(scratch / "", kIdentity);
    EXPECT_EQ(out.num_known(), 3);
}

TEST(OutputDirFailure, AFailedRewriteLeavesTheOldFile) {
    ScratchFolder const scratch;
    OutputDir out(scratch / "", kIdentity);
    for (char const* id : {"a", "b", "a"}) out.append(line_of(id, 2000));
    std::string const before = scratch.read("results.jsonl");
    {
        FileSizeLimit const limit(3000);
        EXPECT_THROW(out.finish(), IoError);
        EXPECT_THROW(out.write_run_record(std::string(4000, ' ')), IoError);
    }
    EXPECT_EQ(scratch.read("results.jsonl"), before);
    EXPECT_FALSE(std::filesystem::exists(scratch / "results.jsonl.tmp"));
    EXPECT_FALSE(std::filesystem::exists(scratch / "run.json"));
    EXPECT_FALSE(std::filesystem::exists(scratch / "run.json.tmp"));
    out.append(line_of("c", 100));
    out.finish();
    EXPECT_EQ(out.num_known(), 3);
}

TEST(OutputDirFailure, AFullDiskIsNamed) {
    FileDescriptor const full(::open("/dev/full", O_WRONLY));
    EXPECT_EQ(write_all(full.get(), "x"), ENOSPC);
    EXPECT_EQ(write_all(full.get(), ""), 0);
    EXPECT_THAT(
        message_of<IoError>([] { throw_io_error("/out/results.jsonl", "append to", ENOSPC); }),
        HasSubstr("No space left on device; free some space"));
}

TEST(OutputDirFailure, AnIdentityThatCannotBeWrittenStopsTheStart) {
    ScratchFolder const scratch;
    {
        FileSizeLimit const limit(60);
        EXPECT_THROW(OutputDir(scratch / "", kIdentity), IoError);
    }
    OutputDir const out(scratch / "", kIdentity);  // and leaves nothing in the way of the next one
    EXPECT_EQ(out.num_known(), 0);
}

}  // namespace
}  // namespace longhaul::io
