// `longhaul inspect kv` as its users start it.
#include "support/kv/store_case.hpp"
#include "system/support/program.hpp"

#include <fstream>

namespace longhaul::system_test {
namespace {

class InspectKvProgram : public ProgramTest {};

TEST_F(InspectKvProgram, StoreFromMakingToDamageToPruning) {
    auto const store = folder() / "kv";
    {
        io::KvStore const made(store, test::store_identity());
        for (std::int64_t i = 0; i < 2; ++i) {
            made.add(test::write_document(folder() / "run", "book-" + std::to_string(i), 3, i),
                     folder() / "run");
        }
    }
    ProcessResult const help = longhaul({"inspect", "kv", "--help"});
    EXPECT_TRUE(ended_with(0, help));
    for (char const* const part : {"--verify", "--prune-size", "--prune-age", "Examples"}) {
        EXPECT_EQ(count_of(help.out, part) > 0, true) << part;
    }
    ProcessResult const list = longhaul({"inspect", "kv", store.string(), "--verify"});
    EXPECT_TRUE(ended_with(0, list));
    EXPECT_NE(list.out.find("2 entries"), std::string::npos) << list.out;
    EXPECT_NE(list.out.find("nothing wrong"), std::string::npos) << list.out;

    std::filesystem::remove(*std::filesystem::directory_iterator(store / "segments"));
    ProcessResult const damaged = longhaul({"inspect", "kv", store.string(), "--json"});
    EXPECT_TRUE(ended_with(1, damaged));
    EXPECT_EQ(Json::parse(damaged.out).at("problems").size(), 1U) << damaged.out;
    EXPECT_TRUE(ended_with(1, longhaul({"inspect", "kv", store.string(), "--prune-damaged"})));
    ProcessResult const after = longhaul({"inspect", "kv", store.string(), "--verify", "--json"});
    EXPECT_TRUE(ended_with(0, after));
    EXPECT_EQ(Json::parse(after.out).at("entries").size(), 1U) << after.out;
}

TEST_F(InspectKvProgram, WrongWords) {
    EXPECT_TRUE(failed_with(2, longhaul({"inspect", "kv"}), {"inspect kv --help"}));
    EXPECT_TRUE(failed_with(2, longhaul({"inspect", "kv", "nowhere"}), {"nowhere"}));
    EXPECT_TRUE(
        failed_with(2, longhaul({"inspect", "kv", folder().string()}), {"neither", "--kv-store"}));
}

}  // namespace
}  // namespace longhaul::system_test
