// What h5py users see of segments and masters: the same numbers, by the recipe of lib/README.md.
#include "base/bfloat16.hpp"
#include "io/hdf5.hpp"
#include "io/kv_master.hpp"
#include "io/kv_segment_writer.hpp"
#include "support/kv/segment_case.hpp"
#include "unit/io/queue/scratch_folder.hpp"

#include <gmock/gmock.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace longhaul::io {
namespace {

std::string output_of(std::string const& command) {
    std::string output;
    FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
    std::array<char, 4096> buffer{};
    while (std::size_t const got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
        output.append(buffer.data(), got);
    }
    ::pclose(pipe);
    return output;
}

// LONGHAUL_PYTHON may name the Python of some venv with h5py; empty when none has it.
std::string python_with_h5py() {
    char const* const named = std::getenv("LONGHAUL_PYTHON");
    for (std::string python : {named != nullptr ? named : "", "/usr/bin/python3", "python3"}) {
        if (!python.empty() && output_of(python + " -c 'import h5py; print(1)'") == "1\n") {
            return python;
        }
    }
    return {};
}

constexpr char const* kScript = R"(
import sys, h5py, numpy
def numbers(dataset):
    x = dataset[...]
    return (x.astype('uint32') << 16).view('float32') if dataset.attrs['dtype'] == b'bf16' else x
for name in sys.argv[1:]:
    with h5py.File(name) as file:
        for group in [file] + [file[n] for n in file if not n.startswith('layer_')]:
            for part in ['layer_00001/key', 'layer_00002/value']:
                if isinstance(group, h5py.Group) and part in group:
                    x = numbers(group[part])
                    print(x.dtype, x.shape, int(x[:, :, :, :].sum(dtype='float64')), x[-1, 1, 2, 3])
)";

// Small whole numbers, which both types hold exactly.
void fill(std::vector<std::byte>& bytes, DType dtype, std::mt19937_64& random) {
    auto const width = static_cast<std::size_t>(dtype_bytes(dtype));
    for (std::size_t i = 0; i < bytes.size(); i += width) {
        auto const value = static_cast<float>(random() % 100);
        std::uint16_t const bits = to_bfloat16(value).bits;
        std::memcpy(bytes.data() + i,
                    dtype == DType::f32 ? static_cast<void const*>(&value) : &bits, width);
    }
}

float value_at(std::span<std::byte const> bytes, DType dtype, std::size_t index) {
    float value = 0;
    BFloat16 half;
    if (dtype == DType::f32) {
        std::memcpy(&value, bytes.data() + 4 * index, 4);
        return value;
    }
    std::memcpy(&half, bytes.data() + 2 * index, 2);
    return to_float(half);
}

std::string expected_line(test::SegmentCase const& segment, std::int64_t layer, KvPart part) {
    KvSegmentShape const& shape = segment.shape;
    std::int64_t const dim = part == KvPart::key ? shape.key_dim : shape.value_dim;
    double sum = 0;
    for (std::size_t block = 0; block < segment.blocks.size(); ++block) {
        for (std::int64_t head = shape.kv_heads.begin; head < shape.kv_heads.end; ++head) {
            auto const piece = segment.piece(block, layer, head, part);
            for (std::int64_t i = 0; i < shape.block_slots * dim; ++i) {
                sum +=
                    static_cast<double>(value_at(piece, shape.dtype, static_cast<std::size_t>(i)));
            }
        }
    }
    auto const last = segment.piece(1, layer, shape.kv_heads.end - 1, part);
    return fmt::format("float32 ({}, {}, {}, {}) {} {:.1f}\n", shape.kv_heads.size(),
                       segment.blocks.size(), shape.block_slots, dim,
                       static_cast<std::int64_t>(sum),
                       value_at(last, shape.dtype, static_cast<std::size_t>(2 * dim + 3)));
}

class KvSegmentInH5py : public testing::Test {
  protected:
    void SetUp() override {
        if (python.empty()) skip();
    }
    static void skip() {
        GTEST_SKIP()
            << "no Python with h5py: scripts/setup.sh --dev installs it, or LONGHAUL_PYTHON "
               "names one";
    }

    std::string const python = python_with_h5py();
    ScratchFolder const scratch;
};

constexpr char const* kWriter = R"(
import sys, h5py, numpy
with h5py.File(sys.argv[1], 'w') as file:
    file.attrs['model'] = 'some model'
    file.attrs['fixed'] = numpy.bytes_('fixed text')
    file.attrs['width'] = 24
    file.attrs['rate'] = 0.5
    for name in ['f2', 'f4', 'f8', 'u2', 'i4', '>f4', '?']:
        file['many/' + name] = numpy.arange(6).reshape(2, 3).astype(name)
    file.create_dataset('packed', data=numpy.arange(6, dtype='f2').reshape(2, 3), compression='gzip')
    file['elsewhere'] = h5py.ExternalLink('other.h5', '/x')
)";

TEST_F(KvSegmentInH5py, WhatItWritesIsRead) {
    auto const script = scratch.write("write.py", kWriter);
    ASSERT_EQ(
        output_of(fmt::format("{} {} {}", python, script.string(), (scratch / "w.h5").string())),
        "");
    Hdf5File const file(scratch / "w.h5");
    EXPECT_EQ(file.text("/", "model"), "some model");
    EXPECT_EQ(file.text("/", "fixed"), "fixed text");
    EXPECT_EQ(file.integer("/", "width"), 24);
    EXPECT_EQ(file.integer("/", "rate"), std::nullopt);
    EXPECT_EQ(file.text("/", "width"), std::nullopt);
    EXPECT_EQ(file.integer("/nowhere", "width"), std::nullopt);
    EXPECT_TRUE(file.has("/many") && file.has("/many/f2"));
    EXPECT_FALSE(file.has("/elsewhere") || file.has("/many/f3") || file.has("/f2/x"));
    std::vector<std::pair<std::string, Hdf5Type>> const types = {
        {"f2", Hdf5Type::f16}, {"f4", Hdf5Type::f32}, {"f8", Hdf5Type::f64},
        {"u2", Hdf5Type::u16}, {"i4", Hdf5Type::i32}, {">f4", Hdf5Type::other},
        {"?", Hdf5Type::other}};
    for (auto const& [name, type] : types) {
        Hdf5Dataset const info = file.dataset("/many/" + name);
        EXPECT_EQ(info.type, type) << name;
        EXPECT_EQ(info.dims, (std::vector<std::int64_t>{2, 3}));
        EXPECT_GT(info.address, 0);
    }
    EXPECT_EQ(file.dataset("/packed").address, -1);
    for (char const* name : {"/many/f2", "/packed"}) {
        std::vector<std::uint16_t> halves(2);
        file.read(name, {1, 1}, {1, 2}, std::as_writable_bytes(std::span(halves)));
        EXPECT_EQ(half_to_float(halves[0]), 4.0F) << name;
        EXPECT_EQ(half_to_float(halves[1]), 5.0F) << name;
    }
    std::vector<std::byte> out(24);
    EXPECT_THAT(message_of<ValidationError>([&] {
                    file.read("/many/>f4", {0, 0}, {2, 3}, out);
                }),
                testing::HasSubstr("unknown type"));
    EXPECT_THAT(message_of<ValidationError>([&] { static_cast<void>(file.dataset("/none")); }),
                testing::HasSubstr("/none"));
    EXPECT_THAT(message_of<ValidationError>([&] { Hdf5File other(script); }),
                testing::HasSubstr("write.py: cannot open it as an HDF5 file"));
}

TEST_F(KvSegmentInH5py, ShowsTheSameNumbers) {
    for (DType const dtype : {DType::f32, DType::bf16}) {
        SCOPED_TRACE(dtype_name(dtype));
        std::mt19937_64 random(1);
        KvSegmentShape shape = test::odd_shape(dtype);
        shape.kv_heads = {0, 7};
        test::SegmentCase segment = test::make_segment_case(shape, 5, random);
        for (auto& block : segment.data) fill(block, dtype, random);
        write_kv_segment(scratch / "a.h5", shape, segment.blocks, segment.spans());
        KvMasterSequence sequence{"doc 1", {}};
        for (auto const& block : segment.blocks) sequence.keys.push_back(block.key);
        write_kv_master(scratch / "master.h5",
                        std::vector<KvMasterSegment>{{"a.h5", shape, segment.blocks}},
                        std::vector<KvMasterSequence>{sequence});
        auto const script = scratch.write("show.py", kScript);
        std::string const lines =
            expected_line(segment, 1, KvPart::key) + expected_line(segment, 2, KvPart::value);
        for (char const* name : {"a.h5", "master.h5"}) {
            EXPECT_EQ(output_of(fmt::format("{} {} {}", python, script.string(),
                                            (scratch / name).string())),
                      lines)
                << name;
        }
    }
}

}  // namespace
}  // namespace longhaul::io
