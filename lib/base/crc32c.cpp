#include "base/crc32c.hpp"

#include "base/error.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#    include <nmmintrin.h>
#endif

namespace longhaul {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78U;  // bits reversed, as all states here

using Table = std::array<std::uint32_t, 256>;

// Table t moves a byte that stands t bytes before the end of an 8-byte step.
constexpr std::array<Table, 8> make_step_tables() {
    std::array<Table, 8> tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t state = byte;
        for (int bit = 0; bit < 8; ++bit) {
            state = (state >> 1) ^ ((state & 1U) != 0 ? kPolynomial : 0U);
        }
        tables[0][byte] = state;
    }
    for (std::size_t t = 1; t < tables.size(); ++t) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            std::uint32_t const before = tables[t - 1][byte];
            tables[t][byte] = (before >> 8) ^ tables[0][before & 0xffU];
        }
    }
    return tables;
}
constexpr std::array<Table, 8> kStep = make_step_tables();

std::uint32_t one_byte(std::uint32_t state, std::byte byte) {
    return (state >> 8) ^ kStep[0][(state ^ std::to_integer<std::uint32_t>(byte)) & 0xffU];
}

std::uint64_t load(std::byte const* bytes) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

#if defined(__x86_64__)

// What `zeros` zero bytes do to a state is linear over GF(2): a 32 x 32 matrix, here as its columns.
using Matrix = std::array<std::uint32_t, 32>;

constexpr std::uint32_t times(Matrix const& matrix, std::uint32_t state) {
    std::uint32_t result = 0;
    for (std::size_t bit = 0; bit < 32; ++bit) {
        if (((state >> bit) & 1U) != 0) result ^= matrix[bit];
    }
    return result;
}

constexpr std::array<Table, 4> make_shift_tables(std::size_t zeros) {
    Matrix matrix{};
    for (std::size_t bit = 0; bit < 32; ++bit) {
        std::uint32_t const state = 1U << bit;
        matrix[bit] = (state >> 8) ^ kStep[0][state & 0xffU];
    }
    for (std::size_t done = 1; done < zeros; done *= 2) {
        Matrix squared{};
        for (std::size_t bit = 0; bit < 32; ++bit) squared[bit] = times(matrix, matrix[bit]);
        matrix = squared;
    }
    std::array<Table, 4> tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        for (std::uint32_t place = 0; place < 4; ++place) {
            tables[place][byte] = times(matrix, byte << (8 * place));
        }
    }
    return tables;
}

template <std::size_t lane>
constexpr std::array<Table, 4> kShift = make_shift_tables(lane);

template <std::size_t lane>
std::uint32_t shift(std::uint32_t state) {
    auto const& tables = kShift<lane>;
    return tables[0][state & 0xffU] ^ tables[1][(state >> 8) & 0xffU] ^
           tables[2][(state >> 16) & 0xffU] ^ tables[3][state >> 24];
}

// The instruction takes one step a cycle but answers after three, so three lanes run side by side.
template <std::size_t lane>
__attribute__((target("sse4.2"))) std::uint32_t three_lanes(std::uint32_t state,
                                                            std::span<std::byte const>& bytes) {
    static_assert((lane & (lane - 1)) == 0 && lane % 8 == 0);
    while (bytes.size() >= 3 * lane) {
        std::uint64_t first = state;
        std::uint64_t second = 0;
        std::uint64_t third = 0;
        for (std::size_t at = 0; at < lane; at += 8) {
            first = _mm_crc32_u64(first, load(bytes.data() + at));
            second = _mm_crc32_u64(second, load(bytes.data() + lane + at));
            third = _mm_crc32_u64(third, load(bytes.data() + 2 * lane + at));
        }
        state = shift<lane>(static_cast<std::uint32_t>(first)) ^ static_cast<std::uint32_t>(second);
        state = shift<lane>(state) ^ static_cast<std::uint32_t>(third);
        bytes = bytes.subspan(3 * lane);
    }
    return state;
}

__attribute__((target("sse4.2"))) std::uint32_t by_instruction(std::span<std::byte const> bytes,
                                                               std::uint32_t state) {
    state = three_lanes<1024>(state, bytes);
    state = three_lanes<128>(state, bytes);
    for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
        state = static_cast<std::uint32_t>(_mm_crc32_u64(state, load(bytes.data())));
    }
    for (std::byte const byte : bytes) {
        state = _mm_crc32_u8(state, std::to_integer<unsigned char>(byte));
    }
    return state;
}

#endif

}  // namespace

namespace detail {

#if defined(__x86_64__)

bool has_crc32c_instruction() {
    static bool const result = __builtin_cpu_supports("sse4.2") != 0;
    return result;
}

std::uint32_t crc32c_by_instruction(std::span<std::byte const> bytes, std::uint32_t seed) {
    LH_EXPECT(has_crc32c_instruction());
    return ~by_instruction(bytes, ~seed);
}

#else

bool has_crc32c_instruction() { return false; }

std::uint32_t crc32c_by_instruction(std::span<std::byte const> bytes, std::uint32_t seed) {
    return crc32c_by_table(bytes, seed);
}

#endif

std::uint32_t crc32c_by_table(std::span<std::byte const> bytes, std::uint32_t seed) {
    std::uint32_t state = ~seed;
    for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
        std::uint64_t const word = load(bytes.data()) ^ state;
        std::uint32_t next = 0;
        for (std::size_t place = 0; place < 8; ++place) {
            next ^= kStep[7 - place][(word >> (8 * place)) & 0xffU];
        }
        state = next;
    }
    for (std::byte const byte : bytes) state = one_byte(state, byte);
    return ~state;
}

}  // namespace detail

std::uint32_t crc32c(std::span<std::byte const> bytes, std::uint32_t seed) {
    return detail::has_crc32c_instruction() ? detail::crc32c_by_instruction(bytes, seed)
                                            : detail::crc32c_by_table(bytes, seed);
}

}  // namespace longhaul
