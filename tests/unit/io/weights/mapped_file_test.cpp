#include "io/mapped_file.hpp"

#include "unit/io/weights/weights_support.hpp"

#include <sys/stat.h>
#include <utility>

namespace longhaul::io {
namespace {

using ::testing::HasSubstr;

TEST(MappedFile, ShowsTheBytesAndMoves) {
    test::ScratchFolder const folder;
    MappedFile file(folder.put("a", "hello"));
    std::byte const* const address = file.bytes().data();
    MappedFile const moved(std::move(file));
    EXPECT_EQ(moved.size(), 5);
    EXPECT_EQ(moved.bytes().data(), address);  // views into the mapping stay good
    EXPECT_EQ(std::to_integer<char>(moved.bytes()[4]), 'o');
}

TEST(MappedFile, AnEmptyFileHasNoBytes) {
    test::ScratchFolder const folder;
    EXPECT_EQ(MappedFile(folder.put("empty", "")).size(), 0);
}

TEST(MappedFile, RefusesWhatIsNoReadableFile) {
    test::ScratchFolder const folder;
    EXPECT_THAT(test::refusal([&] { MappedFile const file(folder / "absent"); }),
                HasSubstr("No such file"));
    EXPECT_THAT(test::refusal([&] { MappedFile const file(folder / "."); }),
                HasSubstr("not a regular file"));
    std::filesystem::path const pipe = folder / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_THAT(test::refusal([&] { MappedFile const file(pipe); }),
                HasSubstr("not a regular file"));  // and no waiting
}

}  // namespace
}  // namespace longhaul::io
