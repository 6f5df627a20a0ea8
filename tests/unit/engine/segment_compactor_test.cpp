// The thread that merges: with real files, real damage and a full disk.
#include "engine/segment_compactor.hpp"

#include "io/kv_segment_check.hpp"
#include "io/kv_segment_writer.hpp"
#include "support/file_size_limit.hpp"
#include "support/kv/segment_case.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <random>
#include <thread>

namespace longhaul::engine {
namespace {

class Compactor : public testing::Test {
  protected:
    Compactor() {
        for (int i = 0; i < 13; ++i) {
            test::SegmentCase const content = test::make_segment_case(shape_, 4, random_);
            std::string const name = "s" + std::to_string(i) + ".h5";
            auto const number = ledger_.open(name, SegmentLedger::kCommon);
            for (io::KvSegmentBlock const& block : content.blocks) {
                ledger_.put(block.key, {number});
                keys_.push_back(block.key);
            }
            ledger_.written(number, io::write_kv_segment(folder_ / name, shape_, content.blocks,
                                                         content.spans()));
        }
    }

    EpochReport epoch() {
        compactor_.epoch_begun();
        ledger_.count_anew();
        for (BlockKey const& key : keys_) {
            ledger_.need(key);
        }
        ledger_.begin_epoch(++step_);
        return *ledger_.take_epoch(false);
    }

    void until_idle() {
        auto const until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        for (compactor_.advance(true); compactor_.busy(); compactor_.advance(true)) {
            ASSERT_LT(std::chrono::steady_clock::now(), until);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    /// Every key is in what the report names, and readable.
    void expect_whole(EpochReport const& report, std::size_t damaged = 0) {
        std::size_t blocks = 0;
        std::size_t problems = 0;
        for (io::KvSegmentInfo const& segment : report.segments) {
            io::KvSegmentCheck const check(folder_ / segment.name, segment);
            problems += check.problems().empty() ? 0U : 1U;
            blocks += check.blocks().size();
        }
        EXPECT_EQ(problems, damaged);
        EXPECT_EQ(blocks, keys_.size());
    }

    std::mt19937_64 random_{std::random_device()()};
    io::ScratchFolder folder_;
    io::KvSegmentShape shape_ = test::odd_shape();
    SegmentLedger ledger_;
    std::vector<BlockKey> keys_;
    StepIndex step_ = 0;
    int merged_ = 0;
    SegmentCompactor compactor_{folder_ / "", shape_, ledger_,
                                [this] { return "m" + std::to_string(merged_++) + ".h5"; }};
};

TEST_F(Compactor, MergesInItsThread) {
    EXPECT_EQ(epoch().segments.size(), 13U);
    until_idle();
    EpochReport const report = epoch();
    EXPECT_LE(report.segments.size(), 8U);
    EXPECT_FALSE(report.dropped.empty());
    expect_whole(report);
    EXPECT_GT(compactor_.bytes_written(), 0);
}

TEST_F(Compactor, LeavesADamagedSegmentOutAndMergesTheOthers) {
    {
        std::fstream file(folder_ / "s3.h5", std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(0, std::ios::end);
        std::streamoff const middle = file.tellg() / 2;
        for (std::streamoff at = middle - 4096; at < middle + 4096; at += 64) {
            file.seekp(at);
            file.put('!');
        }
    }
    testing::internal::CaptureStderr();
    static_cast<void>(epoch());
    until_idle();
    std::string const said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("s3.h5"), std::string::npos) << said;
    EXPECT_EQ(epoch().segments.size(), 13U);
    until_idle();
    EpochReport const report = epoch();
    EXPECT_LE(report.segments.size(), 8U);
    expect_whole(report, 1);
}

TEST_F(Compactor, AFullDiskIsTriedAgainEverMoreSeldom) {
    int warnings = 0;
    {
        test::FileSizeLimit const limit(20'000);
        for (int i = 0; i < 20; ++i) {
            testing::internal::CaptureStderr();
            EXPECT_EQ(epoch().segments.size(), 13U);
            until_idle();
            warnings += testing::internal::GetCapturedStderr().empty() ? 0 : 1;
        }
    }
    EXPECT_GE(warnings, 3);
    EXPECT_LE(warnings, 5);
    for (int i = 0; i < 32; ++i) {
        expect_whole(epoch());
        until_idle();
    }
    EXPECT_LE(epoch().segments.size(), 8U);
}

TEST_F(Compactor, WaitsUntilItMayBegin) {
    static_cast<void>(epoch());
    compactor_.advance(false);
    EXPECT_FALSE(compactor_.busy());
    EXPECT_EQ(epoch().segments.size(), 13U);
    until_idle();
    EXPECT_LE(epoch().segments.size(), 8U);
}

TEST_F(Compactor, BeginsNothingOnceStopped) {
    static_cast<void>(epoch());
    compactor_.advance(true);
    compactor_.stop();
    EXPECT_FALSE(compactor_.busy());
    expect_whole(epoch());
    compactor_.advance(true);
    EXPECT_FALSE(compactor_.busy());
}

}  // namespace
}  // namespace longhaul::engine
