#include "io/atomic_file.hpp"

#include "unit/io/queue/scratch_folder.hpp"

#include <fcntl.h>
#include <utility>

namespace longhaul::io {
namespace {

TEST(AtomicFile, KeepsTheOrderOfPiecesOfAnySize) {
    ScratchFolder const scratch;
    std::string const piece(std::size_t{200'000}, 'p');
    scratch.write("other", "0123456789");
    FileDescriptor const other(::open((scratch / "other").c_str(), O_RDONLY));
    AtomicFile file(scratch / "file");
    file.write("a");
    file.append_from(other.get(), 3, 4);
    file.write("b");
    file.write(piece);
    file.write("c");
    AtomicFile moved(std::move(file));
    moved.write("d");
    moved.commit();
    EXPECT_EQ(scratch.read("file"), "a3456b" + piece + "cd");
    EXPECT_FALSE(std::filesystem::exists(scratch / "file.tmp"));
}

TEST(AtomicFile, LeavesTheOldFileUntilItIsWhole) {
    ScratchFolder const scratch;
    scratch.write("file", "old");
    {
        AtomicFile file(scratch / "file");
        file.write("new");
        file.sync();
        EXPECT_EQ(scratch.read("file"), "old");
    }
    EXPECT_EQ(scratch.read("file"), "old");
    EXPECT_FALSE(std::filesystem::exists(scratch / "file.tmp"));
    AtomicFile file(scratch / "file");
    file.commit();
    EXPECT_EQ(scratch.read("file"), "");
}

TEST(AtomicFile, SaysWhatItCannotDo) {
    ScratchFolder const scratch;
    EXPECT_NE(message_of<IoError>([&] {
                  AtomicFile const file(scratch / "no/file");
              }).find("no/file.tmp"),
              std::string::npos);
    scratch.write("other", "0123");
    FileDescriptor const other(::open((scratch / "other").c_str(), O_RDONLY));
    AtomicFile file(scratch / "file");
    EXPECT_NE(message_of<IoError>([&] { file.append_from(other.get(), 2, 9); }), "")
        << "the file ends before";
}

}  // namespace
}  // namespace longhaul::io
