#include "text/gpt2_pretokenizer.hpp"

#include "text/unicode_class.hpp"
#include "text/utf8.hpp"

#include <algorithm>

namespace longhaul::text {
namespace {

// Where a pre-token ends, and the end of what had to be read to know it.
struct Cut {
    std::int64_t end = 0;
    std::int64_t look_end = 0;
};

template <Digits kDigits>
class Matcher {
  public:
    explicit Matcher(std::string_view run) : run_(run) {}

    Cut next(std::int64_t begin) const {
        Glyph const first = glyph_at(begin);
        if (kDigits == Digits::apart && first.kind == Kind::number) {
            return {begin + first.size, begin + first.size};
        }
        Cut const contraction = match_contraction(begin);
        if (contraction.end > begin) {
            return contraction;
        }
        bool const space_before = run_[static_cast<std::size_t>(begin)] == ' ';
        std::int64_t const body = space_before ? begin + 1 : begin;
        Kind const kind = space_before ? glyph_at(body).kind : first.kind;
        if (kind == Kind::end || kind == Kind::space ||
            (kDigits == Digits::apart && kind == Kind::number)) {
            return match_space(begin);
        }
        Cut const word = match_same(body, kind);
        return {word.end, std::max(word.look_end, contraction.look_end)};
    }

  private:
    // `end` is the end of the run. With digits apart, a digit ends the stretch that GPT-2's pattern sees.
    enum class Kind : std::uint8_t { other, letter, number, space, end };
    struct Glyph {
        Kind kind = Kind::end;
        std::int64_t size = 1;  // at the end: reading that the run ends counts as one byte
    };

    Glyph glyph_at(std::int64_t at) const {
        if (at == static_cast<std::int64_t>(run_.size())) {
            return {};
        }
        CodePoint const point = code_point_at(run_, at);
        return {static_cast<Kind>(table_(point.value)), point.size};
    }

    char byte_at(std::int64_t at) const {
        return at < static_cast<std::int64_t>(run_.size()) ? run_[static_cast<std::size_t>(at)]
                                                           : '\0';
    }

    // end == begin: there is none; look_end holds either way.
    Cut match_contraction(std::int64_t begin) const {
        if (byte_at(begin) != '\'') {
            return {begin, begin};
        }
        char const second = byte_at(begin + 1);
        if (second == 's' || second == 't' || second == 'm' || second == 'd') {
            return {begin + 2, begin + 2};
        }
        if (second != 'r' && second != 'v' && second != 'l') {
            return {begin, begin + 2};
        }
        char const third = second == 'l' ? 'l' : 'e';
        return {byte_at(begin + 2) == third ? begin + 3 : begin, begin + 3};
    }

    Cut match_same(std::int64_t body, Kind kind) const {
        std::int64_t at = body;
        Glyph glyph = glyph_at(at);
        while (glyph.kind == kind) {
            at += glyph.size;
            glyph = glyph_at(at);
        }
        return {at, at + glyph.size};
    }

    // \s+(?!\S) leaves the last space to a word that follows; \s+ takes a single one.
    Cut match_space(std::int64_t begin) const {
        std::int64_t at = begin;
        std::int64_t last = begin;
        Glyph glyph = glyph_at(at);
        while (glyph.kind == Kind::space) {
            last = at;
            at += glyph.size;
            glyph = glyph_at(at);
        }
        bool const stretch_ends =
            glyph.kind == Kind::end || (kDigits == Digits::apart && glyph.kind == Kind::number);
        return {stretch_ends || last == begin ? at : last, at + glyph.size};
    }

    std::string_view run_;
    ClassTable const& table_ = ClassTable::instance();
};

template <Digits kDigits>
void split_run(std::string_view run, std::int64_t base, std::vector<PreToken>& out) {
    Matcher<kDigits> const matcher(run);
    for (std::int64_t at = 0; at < static_cast<std::int64_t>(run.size());) {
        Cut const cut = matcher.next(at);
        out.push_back({base + at, 0, base + cut.look_end});
        at = cut.end;
    }
}

}  // namespace

void Gpt2PreTokenizer::split(std::string_view run, std::int64_t base,
                             std::vector<PreToken>& out) const {
    if (digits_ == Digits::apart) {
        split_run<Digits::apart>(run, base, out);
    } else {
        split_run<Digits::grouped>(run, base, out);
    }
}

}  // namespace longhaul::text
