// `longhaul bench comm` under mpirun: its figures, and what it says when it cannot measure.
#include "system/support/program.hpp"

#include <array>

namespace longhaul::system_test {
namespace {

class BenchComm : public ProgramTest {
  protected:
    static Words comm_words(Words const& options) {
        Words words{longhaul_program(), "bench", "comm", "--backend", "cpu"};
        words.insert(words.end(), options.begin(), options.end());
        return words;
    }
    ProcessResult bench(int ranks, Words const& options) const {
        Words command = mpirun(ranks);
        Words const words = comm_words(options);
        command.insert(command.end(), words.begin(), words.end());
        return start_command(command)->wait(patient(30));
    }
    /// Two ranks that were started with different options.
    ProcessResult unlike(Words const& first, Words const& second) const {
        Words command = mpirun(1);
        Words const a = comm_words(first);
        command.insert(command.end(), a.begin(), a.end());
        command.insert(command.end(), {":", "-n", "1"});
        Words const b = comm_words(second);
        command.insert(command.end(), b.begin(), b.end());
        return start_command(command)->wait(patient(30));
    }
};

struct Expected {
    char const* operation;
    double bus_share;
};

class BenchCommOn : public BenchComm, public ::testing::WithParamInterface<int> {};

TEST_P(BenchCommOn, WritesItsFigures) {
    int const n = GetParam();
    auto const file = (folder() / "comm.json").string();
    auto const result = bench(n, {"--bytes", "512,8K,1M", "--repeat", "5", "--json", file});
    ASSERT_TRUE(ended_with(0, result, 30));
    EXPECT_EQ(count_of(result.out, "comm on CPU"), 1) << "one rank prints\n" << result.out;
    EXPECT_EQ(count_of(result.out, "all_gather"), 3) << result.out;
    Json const json = Json::parse(read(file), nullptr, false);
    ASSERT_TRUE(json.is_object());
    EXPECT_EQ(json.at("bench"), "comm");
    EXPECT_EQ(json.at("backend"), "cpu");
    EXPECT_EQ(json.at("ranks"), n);
    EXPECT_EQ(json.at("hosts"), 1);
    EXPECT_EQ(json.at("repeat"), 5);
    double const others = (n - 1.0) / n;
    std::array<Expected, 5> const expected{{{"all_reduce_sum", 2 * others},
                                            {"all_to_all", others},
                                            {"all_gather", others},
                                            {"broadcast", 1.0},
                                            {"send_recv", 1.0}}};
    Json const& rows = json.at("rows");
    ASSERT_EQ(rows.size(), 3 * expected.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        Json const& row = rows[i];
        auto const& [operation, bus_share] = expected[i % expected.size()];
        EXPECT_EQ(row.at("operation"), operation);
        EXPECT_EQ(row.at("ranks"), n);
        EXPECT_EQ(row.at("transport"), "mpi");
        std::array<int, 3> const sizes{512, 8192, 1 << 20};
        int const unit = 16 * n;
        int const bytes = (sizes[i / expected.size()] + unit - 1) / unit * unit;
        EXPECT_EQ(row.at("bytes"), bytes);
        double const seconds = row.at("median_us").get<double>() * 1e-6;
        EXPECT_GT(seconds, 0.0);
        EXPECT_LE(row.at("median_us"), row.at("p90_us"));
        double const rate = row.at("algorithm_gb_per_s").get<double>();
        EXPECT_NEAR(rate * 1e9 * seconds / bytes, 1.0, 1e-9);
        EXPECT_NEAR(row.at("bus_gb_per_s").get<double>() / rate, bus_share, 1e-9);
    }
}

INSTANTIATE_TEST_SUITE_P(Ranks, BenchCommOn, ::testing::Values(2, 3));

TEST_F(BenchComm, NeedsSeveralRanks) {
    EXPECT_TRUE(failed_with(2, start_command(comm_words({}))->wait(patient(30)),
                            {"only one", "mpirun -n 2"}));
    EXPECT_TRUE(failed_with(2, bench(1, {}), {"only one", "mpirun -n 2"}));
}

TEST_F(BenchComm, OneRankSaysWhatIsWrong) {
    EXPECT_TRUE(failed_with(2, bench(2, {"--bytes", "8K,1Q"}), {"--bytes 1Q", "K, M, G or T"}));
    EXPECT_TRUE(failed_with(2, bench(2, {"--bytes", "8", "--json", "/nowhere/comm.json"}),
                            {"--json /nowhere/comm.json"}));
}

// A rank that fails alone, or was started otherwise, must not leave the others waiting.
TEST_F(BenchComm, RanksThatDiffer) {
    EXPECT_TRUE(failed_with(2, unlike({}, {"--bytes", "many"}), {"rank 1", "--bytes many"}));
    EXPECT_TRUE(failed_with(2, unlike({"--bytes", "8K"}, {"--bytes", "4K"}),
                            {"rank 1", "different options"}));
}

// Any number of ranks may ask for help, and none of them starts MPI for it.
TEST_F(BenchComm, Help) {
    ProcessResult const result = start_command(comm_words({"--help"}))->wait(patient(30));
    EXPECT_TRUE(ended_with(0, result));
    EXPECT_NE(result.out.find("longhaul bench comm --bytes 8K,1M,32M"), std::string::npos);
}

}  // namespace
}  // namespace longhaul::system_test
