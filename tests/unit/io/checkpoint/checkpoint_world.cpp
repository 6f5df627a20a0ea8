#include "unit/io/checkpoint/checkpoint_world.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <iterator>

namespace longhaul::io {
namespace {

using testing::IsEmpty;
using testing::IsSubsetOf;

template <class Container>
auto any_of(Container const& values, std::mt19937_64& random) {
    auto place = values.begin();
    std::advance(place, below(random, static_cast<std::int64_t>(values.size())));
    return *place;
}

bool by_chance(std::mt19937_64& random, std::int64_t one_in) { return below(random, one_in) == 0; }

}  // namespace

bool CrashingChanges::stops(When when) { return countdown_ == 0 && when_ == when; }

// The process dies, not the machine: nothing needs syncing, which makes room for more worlds.
void CrashingChanges::write(std::filesystem::path const& path, std::string_view content) {
    if (stops(When::before)) throw Crash();
    std::string const temporary = path.string() + ".tmp";
    bool const midway = stops(When::midway);
    std::ofstream(temporary, std::ios::binary)
        << content.substr(0, midway ? content.size() / 2 : content.size());
    if (midway) throw Crash();
    std::filesystem::rename(temporary, path);
    if (stops(When::after)) throw Crash();
    --countdown_;
}

int CrashingChanges::remove(std::filesystem::path const& path) {
    if (stops(When::before) || stops(When::midway)) throw Crash();
    int const error = FolderChanges::remove(path);
    if (stops(When::after)) throw Crash();
    --countdown_;
    return error;
}

void CrashingChanges::sync(std::filesystem::path const& folder) {
    EXPECT_TRUE(std::filesystem::is_directory(folder));
    if (stops(When::before) || stops(When::midway)) throw Crash();
    --countdown_;
}

CheckpointWorld::CheckpointWorld(std::uint64_t seed) : random_(seed) {
    for (std::int64_t i = 1 + below(random_, 8); i > 0; --i)
        jobs_.insert("job" + std::to_string(i));
}

std::vector<std::string> CheckpointWorld::jobs_without_result() const {
    std::vector<std::string> jobs;
    std::set_difference(jobs_.begin(), jobs_.end(), results_.begin(), results_.end(),
                        std::back_inserter(jobs));
    return jobs;
}

void CheckpointWorld::start() {
    dir_ = std::make_unique<CheckpointDir>(folder_, kIdentity, OldCheckpoint::resume, changes_);
    for (auto const& [id, found] : dir_->saved().sequences) {
        if (results_.contains(id)) dir_->result_written(id);
    }
    replicas_.clear();
    std::int64_t const run = dir_->start_run();
    at_start_.clear();
    EXPECT_GT(run, last_run_);
    last_run_ = run;
    check_files();
    auto const there = list_checkpoint(folder_).segments;
    at_start_ = {there.begin(), there.end()};
    auto const jobs = jobs_without_result();
    waiting_ = {jobs.begin(), jobs.end()};
    replicas_.assign(static_cast<std::size_t>(1 + below(random_, 4)), {});
    next_segment_ = 0;
}

// The replica may find the entries in segments of earlier runs and goes on naming those.
void CheckpointWorld::take_up_job(Replica& replica) {
    std::string const id = any_of(waiting_, random_);
    waiting_.erase(id);
    replica.jobs.insert(id);
    auto const saved = dir_->saved().sequences.find(id);
    if (saved == dir_->saved().sequences.end() || by_chance(random_, 3)) return;
    for (KvSegmentInfo const& segment : committed_.at(saved->second.from).segments) {
        auto const same = [&](KvSegmentInfo const& other) { return other.name == segment.name; };
        if (std::none_of(replica.segments.begin(), replica.segments.end(), same)) {
            replica.segments.push_back(segment);
        }
    }
}

void CheckpointWorld::write_segments(std::int64_t number, std::vector<std::string>& dropped) {
    Replica& replica = replicas_[static_cast<std::size_t>(number)];
    for (std::int64_t i = below(random_, 3); i > 0; --i) {
        SegmentId const id{dir_->run(), number, 0, 0, below(random_, 2), next_segment_++};
        KvSegmentInfo const segment = make_segment(folder_, id);
        if (by_chance(random_, 5)) {
            dropped.push_back(segment.name);  // its sequences ended at once
        } else {
            replica.segments.push_back(segment);
        }
    }
    if (by_chance(random_, 4) && !replica.segments.empty()) {  // compaction
        for (KvSegmentInfo const& segment : replica.segments) dropped.push_back(segment.name);
        dropped.erase(std::find(dropped.begin(), dropped.end(), replica.segments.back().name));
        replica.segments = {replica.segments.back()};
    }
}

// The state of the replica at a step; its manifest is written some time later.
void CheckpointWorld::collect(std::int64_t number) {
    Replica& replica = replicas_[static_cast<std::size_t>(number)];
    Epoch& epoch = replica.collected.emplace();
    write_segments(number, epoch.dropped);
    replica.epoch += 1 + below(random_, 100);
    std::vector<SavedSequence> sequences;
    for (std::string const& id : replica.jobs) sequences.push_back(random_sequence(random_, id));
    epoch.manifest =
        make_manifest({dir_->run(), replica.epoch, number}, sequences, replica.segments);
}

void CheckpointWorld::commit(std::int64_t number) {
    Replica& replica = replicas_[static_cast<std::size_t>(number)];
    if (!replica.collected) return collect(number);
    Epoch const epoch = *std::exchange(replica.collected, std::nullopt);
    committing_ = epoch.manifest;
    dir_->commit(epoch.manifest, epoch.dropped);
    committed_[epoch.manifest.id] = epoch.manifest;
    committing_.reset();
    check();
    check_files();
}

// Segments of this run that only collected epochs know of.
std::set<std::string> CheckpointWorld::in_flight() const {
    std::set<std::string> names;
    for (Replica const& replica : replicas_) {
        if (!replica.collected) continue;
        for (KvSegmentInfo const& segment : replica.collected->manifest.segments) {
            if (parse_segment_name(segment.name)->run == last_run_) names.insert(segment.name);
        }
        for (std::string const& name : replica.collected->dropped) {
            if (parse_segment_name(name)->run == last_run_) names.insert(name);
        }
    }
    return names;
}

// The result's line becomes durable; the process may die before the folder hears of it.
void CheckpointWorld::finish_job() {
    auto const number = below(random_, static_cast<std::int64_t>(replicas_.size()));
    Replica& replica = replicas_[static_cast<std::size_t>(number)];
    if (replica.jobs.empty()) return;
    std::string const id = any_of(replica.jobs, random_);
    results_.insert(id);
    if (by_chance(random_, 8)) throw Crash();
    dir_->result_written(id, number);
    if (!by_chance(random_, 3)) replica.jobs.erase(id);  // otherwise not acknowledged yet
}

// Without jobs that nobody has saved, the youngest whole manifest of every job is found as it was written, and so is what
// it needs.
void CheckpointWorld::check() {
    if (committing_ && std::filesystem::exists(folder_ / manifest_name(committing_->id))) {
        committed_[committing_->id] = *committing_;
    }
    committing_.reset();
    LoadedCheckpoint const loaded = load_checkpoint(folder_, kIdentity);
    EXPECT_THAT(loaded.problems, IsEmpty());
    std::map<std::string, std::pair<EpochId, SavedSequence const*>> expected;
    for (auto const& [id, manifest] : committed_) {  // from the oldest on
        for (SavedSequence const& sequence : manifest.sequences) {
            expected[sequence.job_id] = {id, &sequence};
        }
    }
    for (std::string const& job : jobs_without_result()) {
        auto const wanted = expected.find(job);
        auto const found = loaded.sequences.find(job);
        if (wanted == expected.end()) {
            EXPECT_EQ(found, loaded.sequences.end());
            continue;
        }
        ASSERT_NE(found, loaded.sequences.end()) << job;
        EXPECT_EQ(found->second.from, wanted->second.first) << job;
        EXPECT_EQ(found->second.sequence, *wanted->second.second) << job;
        EXPECT_THAT(committed_.at(found->second.from).segments, IsSubsetOf(loaded.segments)) << job;
    }
}

// No more files than needed: segments named, in flight or there when the run began, and two manifests of each replica and each job.
void CheckpointWorld::check_files() {
    CheckpointFiles const files = list_checkpoint(folder_);
    EXPECT_THAT(files.temporaries, IsEmpty());
    std::set<std::string> expected = in_flight();
    expected.insert(at_start_.begin(), at_start_.end());
    for (EpochId const& id : files.manifests) {
        for (KvSegmentInfo const& segment : committed_.at(id).segments)
            expected.insert(segment.name);
    }
    EXPECT_THAT(files.segments, testing::UnorderedElementsAreArray(expected));
    std::map<std::pair<std::int64_t, std::int64_t>, int> per_replica;
    for (EpochId const& id : files.manifests) {
        int const count = ++per_replica[std::pair(id.run, id.replica)];
        EXPECT_LE(count, 2);
    }
    EXPECT_LE(files.manifests.size(), 2 * (replicas_.size() + jobs_.size()));
}

void CheckpointWorld::run_until_end() {
    auto const when = static_cast<CrashingChanges::When>(below(random_, 3));
    changes_.arm(below(random_, 40), when);
    start();
    for (std::int64_t events = below(random_, 50); events > 0; --events) {
        auto const number = below(random_, static_cast<std::int64_t>(replicas_.size()));
        if (!waiting_.empty() && by_chance(random_, 2)) {
            take_up_job(replicas_[static_cast<std::size_t>(number)]);
        }
        if (by_chance(random_, 12)) {
            finish_job();
        } else {
            commit(number);
        }
    }
}

void CheckpointWorld::live_through_a_run() {
    try {
        run_until_end();
    } catch (Crash const&) {
    }
    changes_.disarm();
    dir_.reset();
    check();
}

void CheckpointWorld::complete() {
    start();
    for (std::string const& id : jobs_without_result()) {
        results_.insert(id);
        dir_->result_written(id);
    }
    changes_.arm(below(random_, 10), CrashingChanges::When::after);
    try {
        EXPECT_EQ(dir_->finish_all(), 0);
    } catch (Crash const&) {
        changes_.disarm();
        dir_.reset();
        check();
        if (!std::filesystem::exists(folder_ / "runs")) last_run_ = 0;  // all else had gone before
        start();
        EXPECT_EQ(dir_->finish_all(), 0);
    }
    EXPECT_FALSE(std::filesystem::exists(folder_));
}

}  // namespace longhaul::io
