#include "bench/attention_cases.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <tuple>
#include <utility>

namespace longhaul::kernels {
namespace {

constexpr std::int64_t kMiddle = 131072;
constexpr std::int64_t kLong = 1048576;

/// The cases of one kind for every head geometry.
class CaseList {
  public:
    explicit CaseList(bool peer) : peer_(peer) {}

    /// `rows` over each of `lengths` slots, without a mask; named after both.
    void history(char const* kind, std::initializer_list<std::int64_t> rows,
                 std::initializer_list<std::int64_t> lengths) {
        for (std::int64_t const length : lengths) {
            each_geometry([&](AttentionCase at, std::string const& heads) {
                for (std::int64_t const count : rows) {
                    at.name = fmt::format("{} {} q{} kv{}", kind, heads, count, length);
                    at.rows = count;
                    at.history = {length};
                    add(at);
                }
            });
        }
    }

    /// A text of `rows` tokens at once.
    void square(std::int64_t rows) {
        each_geometry([&](AttentionCase at, std::string const& heads) {
            at.name = fmt::format("causal {} n{}", heads, rows);
            at.rows = rows;
            at.history = {0};
            at.causal = true;
            add(at);
        });
    }

    /// A chunk of a long text.
    void chunk(std::int64_t rows, std::int64_t length) {
        each_geometry([&](AttentionCase at, std::string const& heads) {
            at.name = fmt::format("chunk {} q{} kv{} causal", heads, rows, length);
            at.rows = rows;
            at.history = {length};
            at.causal = true;
            add(at);
        });
    }

    /// One token of each of many sequences.
    void decode_batch(std::int64_t sequences) {
        each_geometry([&](AttentionCase at, std::string const& heads) {
            at.name = fmt::format("decode {} {} sequences", heads, sequences);
            at.causal = true;
            for (std::int64_t i = 1; i <= sequences; ++i) {
                at.history.push_back(i * 997 % 65536 + 100);
            }
            add(at);
        });
    }

    std::vector<AttentionCase> take() { return std::move(list_); }

  private:
    template <class Function>
    void each_geometry(Function const& function) {
        for (auto const& [heads, kv_heads, dim] :
             {std::tuple{32, 8, 128}, std::tuple{16, 4, 128}, std::tuple{9, 3, 64}}) {
            AttentionCase at;
            at.num_heads = heads;
            at.num_kv_heads = kv_heads;
            at.dim = dim;
            at.peer = peer_;
            function(at, fmt::format("d{} {}/{}", dim, heads, kv_heads));
        }
    }
    void add(AttentionCase const& at) { list_.push_back(at); }

    bool peer_;
    std::vector<AttentionCase> list_;
};

std::vector<AttentionCase> peer_cases() {
    CaseList list(true);
    list.history("prefill", {512, 4096, 8192}, {kMiddle, kLong});
    list.history("decode", {1}, {kMiddle, kLong});
    list.square(32768);
    list.history("short", {4, 16, 64, 128}, {kMiddle});
    list.history("prefill", {4096}, {8192});
    return list.take();
}

std::vector<AttentionCase> own_cases() {
    CaseList list(false);
    list.history("short", {32, 256}, {kMiddle});
    list.history("short", {4, 16, 32, 64, 128, 256}, {kLong});
    list.history("decode", {1}, {16384});
    list.square(8192);
    list.chunk(4096, kMiddle);
    list.decode_batch(64);
    return list.take();
}

}  // namespace

double AttentionCase::flop() const {
    double seen = 0.0;
    for (std::int64_t const length : history) {
        seen += static_cast<double>(rows * length);
        seen += causal ? 0.5 * static_cast<double>(rows * rows) : 0.0;
    }
    return 4.0 * static_cast<double>(num_heads * dim) * seen;
}

double AttentionCase::kv_bytes() const {
    double read = 0.0;
    for (std::int64_t i = 0; i < std::ssize(history); ++i) {
        read += static_cast<double>(slots(i));
    }
    return 4.0 * static_cast<double>(num_kv_heads * dim) * read;
}

std::vector<AttentionCase> attention_cases() {
    std::vector<AttentionCase> list = peer_cases();
    std::ranges::move(own_cases(), std::back_inserter(list));
    return list;
}

std::string to_json(AttentionCase const& at) {
    bool const decode = at.rows == 1;
    return nlohmann::ordered_json{{"name", at.name},
                                  {"peer", at.peer},
                                  {"num_heads", at.num_heads},
                                  {"num_kv_heads", at.num_kv_heads},
                                  {"dim", at.dim},
                                  {"rows", at.rows},
                                  {"slots", at.slots(0)},
                                  {"causal", at.causal},
                                  {"unit", decode ? "TB/s" : "TFLOP/s"},
                                  {"work", decode ? at.kv_bytes() : at.flop()}}
        .dump();
}

}  // namespace longhaul::kernels
