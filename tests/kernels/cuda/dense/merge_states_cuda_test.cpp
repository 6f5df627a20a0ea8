#include "kernels/cuda/dense/cuda_support.hpp"
#include "kernels/merge_states.hpp"

#include <algorithm>
#include <limits>
#include <random>

namespace longhaul::kernels::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class MergeStatesCuda : public CudaTest {
  protected:
    struct Case {
        std::int64_t num_rows;
        std::int64_t width;
        std::int64_t head_dim;
        std::int64_t first_element;
        std::int64_t stride;
        std::vector<std::vector<float>> outs;
        std::vector<std::vector<float>> lses;

        [[nodiscard]] std::int64_t heads() const {
            MergeArgs args;
            args.width = width;
            args.head_dim = head_dim;
            args.first_element = first_element;
            return merge_heads(args);
        }
    };
    struct Result {
        std::vector<float> out;
        std::vector<float> lse;
    };

    Case make(std::size_t parts, std::int64_t num_rows, std::int64_t width, std::int64_t head_dim,
              std::int64_t first_element, std::int64_t gap) {
        Case made{num_rows, width, head_dim, first_element, width + gap, {}, {}};
        std::mt19937 random(next_seed());
        std::int64_t const lses = num_rows * made.heads();
        for (std::size_t part = 0; part < parts; ++part) {
            made.outs.push_back(random_floats(num_rows * made.stride, next_seed()));
            made.lses.push_back(random_floats(lses, next_seed(), 6.0F));
            for (float& lse : made.lses.back()) {
                lse = random() % 4 == 0 ? -kInfinity : lse + 900.0F;
            }
        }
        for (std::vector<float>& lse : made.lses) {
            lse[0] = -kInfinity;  // nobody saw anything
        }
        return made;
    }

    [[nodiscard]] Result run(Case const& work, bool in_place, bool with_lse) const {
        std::vector<device::Buffer> memory;
        std::vector<PartialState> parts;
        for (std::size_t i = 0; i < work.outs.size(); ++i) {
            memory.push_back(put(work.outs[i]));
            memory.push_back(put(work.lses[i]));
            parts.push_back({memory[2 * i].as<float>(), work.stride, memory[2 * i + 1].as<float>(),
                             work.heads()});
        }
        device::Buffer const out = poisoned(work.num_rows * work.stride * 4);
        device::Buffer const lse = poisoned(work.num_rows * work.heads() * 4);
        float* const to = in_place ? memory[0].as<float>() : out.as<float>();
        merge_states(exec(), {parts, work.num_rows, work.width, work.head_dim, work.first_element,
                              to, work.stride, with_lse ? lse.as<float>() : nullptr});
        return {get<float>(to, work.num_rows * work.stride),
                get<float>(lse.data(), work.num_rows * work.heads())};
    }
    static Result reference(Case const& work) {
        std::vector<PartialState> parts;
        for (std::size_t i = 0; i < work.outs.size(); ++i) {
            parts.push_back({work.outs[i].data(), work.stride, work.lses[i].data(), work.heads()});
        }
        Result result{std::vector<float>(static_cast<std::size_t>(work.num_rows * work.stride)),
                      std::vector<float>(static_cast<std::size_t>(work.num_rows * work.heads()))};
        merge_states(reference_context(),
                     {parts, work.num_rows, work.width, work.head_dim, work.first_element,
                      result.out.data(), work.stride, result.lse.data()});
        return result;
    }
    static void expect_equal(Case const& work, Result const& got, Result const& expected,
                             bool with_lse) {
        for (std::int64_t i = 0; i < work.num_rows * work.stride; ++i) {
            if (i % work.stride < work.width) {
                auto const at = static_cast<std::size_t>(i);
                ASSERT_TRUE(agree(got.out[at], expected.out[at], 1e-5))
                    << "row " << i / work.stride << " element " << i % work.stride << ": "
                    << got.out[at] << ", not " << expected.out[at] << ", of " << work.outs.size()
                    << " parts";
            }
        }
        for (std::size_t i = 0; with_lse && i < got.lse.size(); ++i) {
            ASSERT_TRUE(agree(got.lse[i], expected.lse[i], 4e-7 * std::abs(expected.lse[i])))
                << got.lse[i] << ", not " << expected.lse[i];
        }
    }
};

TEST_F(MergeStatesCuda, MatchesReference) {
    for (std::size_t const parts : {0, 1, 2, 5, 31, 32, 33, 63, 64, 100}) {
        for (auto const& [width, head_dim, first, gap] :
             std::vector<std::array<std::int64_t, 4>>{{576, 64, 0, 0},
                                                      {200, 64, 100, 4},
                                                      {37, 64, 61, 0},
                                                      {130, 6, 3, 5},
                                                      {4096, 128, 0, 0},
                                                      {1, 8, 15, 0}}) {
            Case const work = parts == 0 ? Case{3, width, head_dim, first, width + gap, {}, {}}
                                         : make(parts, 13, width, head_dim, first, gap);
            Result const expected = reference(work);
            for (bool const in_place : {false, true}) {
                if (in_place && parts == 0) {
                    continue;
                }
                for (bool const with_lse : {false, true}) {
                    expect_equal(work, run(work, in_place, with_lse), expected, with_lse);
                }
            }
            if (HasFatalFailure()) {
                return;
            }
        }
    }
}

TEST_F(MergeStatesCuda, ANonFiniteLseSpoilsItsHeadAlone) {
    for (float const bad : {NAN, kInfinity}) {
        for (std::size_t const parts : {3, 40}) {
            for (std::size_t const part : {std::size_t{0}, parts - 1}) {
                Case work = make(parts, 4, 96, 32, 0, 0);
                work.lses[part][5] = bad;  // row 1, head 2
                Result const expected = reference(work);
                ASSERT_TRUE(std::isnan(expected.lse[5]));
                expect_equal(work, run(work, false, true), expected, true);
            }
        }
    }
}

TEST_F(MergeStatesCuda, APartThatSawNothingIsNotRead) {
    Case work = make(3, 2, 64, 32, 0, 0);
    for (std::size_t i = 0; i < work.lses[1].size(); ++i) {
        work.lses[0][i] = 1.0F;
        work.lses[1][i] = -kInfinity;
        std::fill(work.outs[1].begin(), work.outs[1].end(), NAN);
    }
    expect_equal(work, run(work, true, true), reference(work), true);
    merge_states(exec(), {{}, 0, 8, 8, 0, nullptr, 8, nullptr});
}

}  // namespace
}  // namespace longhaul::kernels::test
