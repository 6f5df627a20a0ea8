#include "text/regex_pretokenizer.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/error.hpp"
#include "text/utf8.hpp"

#include <pcre2.h>

#include <algorithm>
#include <array>
#include <new>

namespace longhaul::text {
namespace {

constexpr std::size_t kJitStackStart = std::size_t{64} << 10;
constexpr std::size_t kJitStackMax = std::size_t{16} << 20;

template <auto kFree>
struct Freed {
    template <class T>
    void operator()(T* pointer) const {
        kFree(pointer);
    }
};
using Code = std::unique_ptr<pcre2_code, Freed<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Freed<pcre2_jit_stack_free>>;

std::string pcre2_message(int code) {
    std::array<PCRE2_UCHAR, 256> buffer{};
    pcre2_get_error_message(code, buffer.data(), buffer.size());
    return reinterpret_cast<char const*>(buffer.data());
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

std::size_t next_code_point(std::string_view text, std::size_t at) {
    return at < text.size() ? at + static_cast<std::size_t>(
                                       code_point_at(text, static_cast<std::int64_t>(at)).size)
                            : at + 1;
}

// What one call of split needs for itself.
struct Scratch {
    MatchData data;
    MatchContext context{pcre2_match_context_create(nullptr)};
    JitStack stack{pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr)};

    explicit Scratch(pcre2_code const* code)
        : data(pcre2_match_data_create_from_pattern(code, nullptr)) {
        if (data == nullptr || context == nullptr || stack == nullptr) {
            throw std::bad_alloc();
        }
        pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
    }
};

}  // namespace

class RegexPreTokenizer::Pattern {
  public:
    explicit Pattern(std::string const& text) : text_(text) {
        int error = 0;
        PCRE2_SIZE offset = 0;
        constexpr std::uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
        code_.reset(pcre2_compile(units(text_), text_.size(), kOptions, &error, &offset, nullptr));
        LH_VALIDATE(code_ != nullptr,
                    "the pre-tokeniser pattern '{}' cannot be used: {} at offset {}; correct it in "
                    "the model's tokenizer",
                    text_, pcre2_message(error), offset);
        // Without the compiler (it is optional on some machines) matching is slower, not different.
        pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
    }

    pcre2_code const* code() const { return code_.get(); }

    /// Appends the start offsets of the pieces of `run`, moved by `base`.
    void cut(std::string_view run, std::int64_t base, Scratch const& scratch,
             std::vector<std::int64_t>& starts) const {
        auto const add = [&](std::size_t offset) {
            std::int64_t const start = base + static_cast<std::int64_t>(offset);
            if (offset < run.size() && starts.back() < start) {
                starts.push_back(start);
            }
        };
        starts.push_back(base);
        for (std::size_t from = 0; from < run.size();) {
            // The caller's text is valid UTF-8; checking it again for every match would be quadratic.
            int const found =
                pcre2_match(code_.get(), units(run), run.size(), from, PCRE2_NO_UTF_CHECK,
                            scratch.data.get(), scratch.context.get());
            if (found == PCRE2_ERROR_NOMATCH) {
                break;
            }
            LH_VALIDATE(found > 0,
                        "the pre-tokeniser pattern '{}' fails near byte {} of a run of text: {}; "
                        "use a simpler pattern",
                        text_, from, pcre2_message(found));
            PCRE2_SIZE const* const span = pcre2_get_ovector_pointer(scratch.data.get());
            std::size_t const begin = span[0];
            std::size_t const end = span[1];
            if (end > begin && begin >= from) {
                add(begin);
                add(end);
                from = end;
            } else {  // empty matches (and \K that steps back) cut nothing
                from = next_code_point(run, std::max(begin, from));
            }
        }
    }

  private:
    std::string text_;
    Code code_;
};

RegexPreTokenizer::RegexPreTokenizer(std::vector<std::string> const& patterns) {
    for (std::string const& pattern : patterns) {
        patterns_.push_back(std::make_unique<Pattern const>(pattern));
    }
}

RegexPreTokenizer::~RegexPreTokenizer() = default;

void RegexPreTokenizer::split(std::string_view run, std::int64_t base,
                              std::vector<PreToken>& out) const {
    if (run.empty()) {
        return;
    }
    auto const size = static_cast<std::int64_t>(run.size());
    std::vector<std::int64_t> starts{0};
    for (auto const& pattern : patterns_) {
        Scratch const scratch(pattern->code());
        std::vector<std::int64_t> finer;
        for (std::size_t i = 0; i < starts.size(); ++i) {
            std::int64_t const end = i + 1 < starts.size() ? starts[i + 1] : size;
            auto const piece = run.substr(static_cast<std::size_t>(starts[i]),
                                          static_cast<std::size_t>(end - starts[i]));
            pattern->cut(piece, starts[i], scratch, finer);
        }
        starts = std::move(finer);
    }
    for (std::int64_t const start : starts) {
        out.push_back({base + start, 0, base + size + 1});
    }
}

}  // namespace longhaul::text
