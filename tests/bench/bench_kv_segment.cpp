// Rates at which KV segments are written and read beside dd on the same folder.
//
//   bench_kv_segment [FOLDER] [GIB]      default: the current folder, 1 GiB
//
// Questions: does writing (its sync included) and reading from the disk reach 0.8 of dd? A segment is written 64 blocks at a
// time, as a checkpoint's buffer empties, and synced once; dd writes as many zeros with conv=fsync, which costs it nothing to
// make. Reading: the written file is dropped from the page cache (posix_fadvise DONTNEED after a sync) before every turn of
// either; dd reads it from begin to end into nothing, the reader takes every head of every layer in runs of 64 blocks and
// checks it. Turns alternate and figures are medians of three, since a shared disk changes its mind from second to second.
#include "base/crc32c.hpp"
#include "io/kv_segment_reader.hpp"
#include "io/kv_segment_writer.hpp"

#include <fmt/format.h>
#include <spawn.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace longhaul::io {
namespace {

constexpr std::int64_t kBatch = 64;
constexpr std::int64_t kMiB = std::int64_t{1} << 20;

double seconds_of(std::function<void()> const& action) {
    auto const begin = std::chrono::steady_clock::now();
    action();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::array<double, 3> values) {
    std::sort(values.begin(), values.end());
    return values[1];
}

void fail(std::string const& message) {
    fmt::print(stderr, "bench_kv_segment: {}\n", message);
    std::exit(2);
}

void run_dd(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "dd");
    arguments.insert(arguments.end(), {"bs=1M", "status=none"});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_t child = 0;
    int status = 0;
    if (::posix_spawnp(&child, "dd", nullptr, nullptr, argv.data(), environ) != 0 ||
        ::waitpid(child, &status, 0) < 0 || status != 0) {
        fail("dd failed");
    }
}

void drop_from_cache(std::filesystem::path const& path) {
    FileDescriptor const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid() || ::fsync(file.get()) != 0 ||
        ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED) != 0) {
        fail("cannot drop " + path.string());
    }
}

// A rank of a model of the 8B class: 8 of its layers, 2 of its heads. A block takes 1 MiB.
KvSegmentShape rank_shape() {
    KvSegmentShape shape;
    shape.model = "benchmark";
    shape.dtype = DType::bf16;
    shape.block_slots = 128;
    shape.key_dim = 128;
    shape.value_dim = 128;
    shape.layers = {8, 16};
    shape.kv_heads = {2, 4};
    shape.num_layers = 32;
    shape.num_kv_heads = 8;
    return shape;
}

std::vector<std::vector<std::byte>> random_blocks() {
    std::mt19937_64 random(1);
    std::vector<std::vector<std::byte>> blocks(static_cast<std::size_t>(kBatch));
    for (auto& block : blocks) {
        block.resize(static_cast<std::size_t>(block_bytes(rank_shape())));
        for (std::byte& byte : block) byte = static_cast<std::byte>(random());
    }
    return blocks;
}

void write_segment(std::filesystem::path const& path, std::int64_t num_blocks,
                   std::span<std::span<std::byte const> const> batch) {
    std::vector<KvSegmentBlock> blocks;
    for (std::int64_t i = 0; i < num_blocks; ++i) {
        blocks.push_back({{static_cast<std::uint64_t>(i), 1}, i, 128});
    }
    KvSegmentWriter writer(path, rank_shape(), std::move(blocks));
    for (std::int64_t first = 0; first < num_blocks; first += kBatch) writer.add(first, batch);
    static_cast<void>(writer.finish());
}

void read_segment(std::filesystem::path const& path) {
    KvSegmentReader const reader(path);
    KvSegmentShape const& shape = reader.shape();
    std::vector<std::byte> out;
    for (std::int64_t layer = shape.layers.begin; layer < shape.layers.end; ++layer) {
        for (KvPart const part : {KvPart::key, KvPart::value}) {
            out.resize(static_cast<std::size_t>(kBatch * head_block_bytes(shape, part)));
            for (std::int64_t head = shape.kv_heads.begin; head < shape.kv_heads.end; ++head) {
                for (std::int64_t first = 0; first < reader.info().blocks; first += kBatch) {
                    if (reader.read_run(first, kBatch, layer, head, part, out) != kBatch) {
                        fail("what was read is not what was written");
                    }
                }
            }
        }
    }
}

void print_row(char const* what, double ours, double dd, double bytes) {
    fmt::print("{:<12} {:6.2f} GB/s   dd {:6.2f} GB/s   ratio {:.2f}\n", what, bytes / ours / 1e9,
               bytes / dd / 1e9, dd / ours);
}

void run(std::filesystem::path const& folder, std::int64_t gib) {
    std::int64_t const num_blocks = gib * 1024;
    auto const bytes = static_cast<double>(num_blocks * kMiB);
    std::filesystem::path const segment = folder / "bench_kv_segment.h5";
    std::filesystem::path const zeros = folder / "bench_kv_segment.dd";
    auto const blocks = random_blocks();
    std::vector<std::span<std::byte const>> const batch(blocks.begin(), blocks.end());
    std::array<double, 3> write_ours{}, write_dd{}, read_ours{}, read_dd{}, cached_ours{},
        cached_dd{};
    std::vector<std::string> const dd_read = {"if=" + segment.string(), "of=/dev/null"};
    for (std::size_t turn = 0; turn < 3; ++turn) {
        auto const ours = [&] {
            write_ours[turn] = seconds_of([&] { write_segment(segment, num_blocks, batch); });
        };
        if (turn % 2 == 1) ours();
        write_dd[turn] = seconds_of([&] {
            run_dd({"if=/dev/zero", "of=" + zeros.string(), fmt::format("count={}", num_blocks),
                    "conv=fsync"});
        });
        std::filesystem::remove(zeros);
        if (turn % 2 == 0) ours();
        // Not timed: what caches below the page cache keep, they keep for both.
        drop_from_cache(segment);
        run_dd(dd_read);
        drop_from_cache(segment);
        read_dd[turn] = seconds_of([&] { run_dd(dd_read); });
        drop_from_cache(segment);
        read_ours[turn] = seconds_of([&] { read_segment(segment); });
        cached_dd[turn] = seconds_of([&] { run_dd(dd_read); });
        cached_ours[turn] = seconds_of([&] { read_segment(segment); });
        std::filesystem::remove(segment);
    }
    print_row("write", median(write_ours), median(write_dd), bytes);
    print_row("read", median(read_ours), median(read_dd), bytes);
    print_row("read cached", median(cached_ours), median(cached_dd), bytes);
    std::uint32_t crc = 0;
    double const crc_s = seconds_of([&] {
        for (auto const& block : blocks) crc = crc32c(block, crc);
    });
    fmt::print("crc32c       {:6.2f} GB/s   ({:08x})\n",
               static_cast<double>(kBatch * kMiB) / crc_s / 1e9, crc);
}

}  // namespace
}  // namespace longhaul::io

int main(int argc, char** argv) {
    std::filesystem::path const folder = argc > 1 ? argv[1] : ".";
    std::int64_t const gib = argc > 2 ? std::atoll(argv[2]) : 1;
    if (argc > 3 || gib < 1 || !std::filesystem::is_directory(folder)) {
        fmt::print(stderr, "usage: bench_kv_segment [FOLDER] [GIB]\n");
        return 2;
    }
    longhaul::io::run(folder, gib);
    return 0;
}
