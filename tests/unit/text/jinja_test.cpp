#include "text/jinja.hpp"

#include "base/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <random>

namespace longhaul::text::jinja {
namespace {

using testing::HasSubstr;

Value string(char const* text) { return Value(TrackedString(text)); }

Dict message(char const* role, char const* content) {
    Dict dict;
    dict.emplace("role", string(role));
    dict.emplace("content", string(content));
    return dict;
}

// As in make_jinja_golden.py.
Dict variables() {
    List messages;
    messages.emplace_back(message("user", " Hi  "));
    messages.emplace_back(message("assistant", "\u00a0yo\n"));
    messages.emplace_back(message("user", "é漢"));
    Dict dict;
    dict.emplace("messages", std::move(messages));
    dict.emplace("add_generation_prompt", true);
    dict.emplace("bos_token", string("<s>"));
    dict.emplace("eos_token", string("</s>"));
    dict.emplace("tools", None{});
    dict.emplace("documents", None{});
    return dict;
}

std::string refusal(std::string const& source) {
    try {
        (void)Template(source).render(variables());
    } catch (ValidationError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(Jinja, RendersWhatPythonRenders) {
    std::ifstream file("tests/unit/text/data/jinja_golden.json");
    nlohmann::json const cases = nlohmann::json::parse(file);
    ASSERT_GT(cases.size(), 50U);
    for (auto const& entry : cases) {
        std::string const source = entry.at("template").get<std::string>();
        EXPECT_EQ(Template(source).render(variables()).bytes(),
                  entry.at("output").get<std::string>())
            << source;
    }
}

TEST(Jinja, RefusesUnknownThingsByNameAndLine) {
    EXPECT_THAT(refusal("\n\n{{ 1|tojson }}"),
                HasSubstr("line 3: the filter 'tojson' is not supported"));
    EXPECT_THAT(refusal("\n{% macro f() %}{% endmacro %}"),
                HasSubstr("line 2: the statement 'macro' is not supported"));
    EXPECT_THAT(refusal("{{ strftime_now('x') }}"), HasSubstr("the function 'strftime_now'"));
    EXPECT_THAT(refusal("{{ 'a'.strip() }}"), HasSubstr("the method '.strip()'"));
    EXPECT_THAT(refusal("{{ 1 is divisibleby 5 }}"), HasSubstr("the test 'divisibleby'"));
    EXPECT_THAT(refusal("{{ x is defined if y }}"),
                HasSubstr("the test 'defined' with an argument"));
    EXPECT_THAT(refusal("{{ messages[1:] }}"), HasSubstr("a slice"));
    EXPECT_THAT(refusal("{{ {'a': 1} }}"), HasSubstr("a dictionary"));
    EXPECT_THAT(refusal("{{ (1, 2) }}"), HasSubstr("a tuple"));
    EXPECT_THAT(refusal("{{ 2 ** 3 }}"), HasSubstr("the operator '**'"));
    EXPECT_THAT(refusal("{{ 1 / 3 }}"), HasSubstr("the operator '/'"));
    EXPECT_THAT(refusal("{{ trim('x', 1)|trim(2, 3) }}"), HasSubstr("'trim'"));
    EXPECT_THAT(refusal("{% for a, b in messages %}{% endfor %}"),
                HasSubstr("'for' with anything but one name"));
    EXPECT_THAT(refusal("{% for a in messages recursive %}{% endfor %}"), HasSubstr("'recursive'"));
    EXPECT_THAT(refusal("{% set a.b = 1 %}"), HasSubstr("'set' in any other form"));
    EXPECT_THAT(refusal("{% set a %}x{% endset %}"), HasSubstr("'set' in any other form"));
    EXPECT_THAT(refusal("{% for m in messages %}{{ loop.previtem }}{% endfor %}"),
                HasSubstr("'.previtem'"));
    EXPECT_THAT(refusal("{% for k in messages[0] %}{% endfor %}"),
                HasSubstr("a loop over a dictionary"));
    EXPECT_THAT(refusal("{{ messages }}"), HasSubstr("printing a list"));
    EXPECT_THAT(refusal("{{ 0x10 }}"), HasSubstr("the number"));
    EXPECT_THAT(refusal("{{ '\\N{DASH}' }}"), HasSubstr("the escape '\\N'"));
}

TEST(Jinja, SyntaxErrorsNameTheLine) {
    for (char const* const source : {"{{",
                                     "{%",
                                     "{#",
                                     "{{ 1",
                                     "{{ 'a",
                                     "{{ }}",
                                     "{{ 1 2 }}",
                                     "{{ a. }}",
                                     "{{ a[ }}",
                                     "{{ a[1 }}",
                                     "{{ (1 }}",
                                     "{{ [1 }}",
                                     "{{ 1 + }}",
                                     "{{ not }}",
                                     "{{ a b }}",
                                     "{{ a | }}",
                                     "{{ a is }}",
                                     "{{ $ }}",
                                     "{{ '\\x4' }}",
                                     "{{ '\\ud800' }}",
                                     "{{ '\\U00110000' }}",
                                     "{{ if }}",
                                     "{% %}",
                                     "{% 1 %}",
                                     "{% if %}x{% endif %}",
                                     "{% if 1 %}",
                                     "{% if 1 %}{% else %}{% else %}{% endif %}",
                                     "{% endif %}",
                                     "{% else %}",
                                     "{% for %}{% endfor %}",
                                     "{% for a in b %}",
                                     "{% for a in b %}{% endif %}",
                                     "{% for in in b %}{% endfor %}",
                                     "{% set %}",
                                     "{% set a = %}",
                                     "{% set if = 1 %}",
                                     "{% if 1 %}{% elif %}{% endif %}",
                                     "{% if 1 }}{% endif %}",
                                     "{{ 1 %}",
                                     "{{ raise_exception() }}",
                                     "{{ raise_exception('a' }}"}) {
        EXPECT_THAT(refusal(std::string("\n") + source),
                    HasSubstr("the chat template cannot be used: line 2: "))
            << source;
    }
}

TEST(Jinja, TypeErrorsNameTheLine) {
    for (char const* const source : {"{{ 'a' + 1 }}",
                                     "{{ none + 'a' }}",
                                     "{{ x + 'a' }}",
                                     "{{ x.y }}",
                                     "{{ x[0] }}",
                                     "{{ 1 < 'a' }}",
                                     "{{ none < 1 }}",
                                     "{{ 'a' in 5 }}",
                                     "{{ 1 in 'a' }}",
                                     "{{ 5 // 0 }}",
                                     "{{ 5 % 0 }}",
                                     "{{ 9223372036854775807 + 1 }}",
                                     "{{ -9223372036854775807 - 2 }}",
                                     "{{ 9223372036854775807 * 2 }}",
                                     "{{ 99999999999999999999 }}",
                                     "{{ -(-9223372036854775807 - 1) }}",
                                     "{{ (-9223372036854775807 - 1) // -1 }}",
                                     "{{ -'a' }}",
                                     "{{ 5|length }}",
                                     "{{ none.a }}",
                                     "{{ 'a'.b }}",
                                     "{{ messages.role }}",
                                     "{{ messages['a'] }}",
                                     "{{ 'abc'[0] }}",
                                     "{% for a in 5 %}{% endfor %}",
                                     "{% for a in none %}{% endfor %}",
                                     "{% for a in 'abc' %}{% endfor %}",
                                     "{{ 'a' in x }}"}) {
        EXPECT_THAT(refusal(std::string("\n") + source),
                    HasSubstr("the chat template cannot be used: line 2: "))
            << source;
    }
}

TEST(Jinja, RaiseExceptionIsTheTemplatesRefusal) {
    EXPECT_EQ(refusal("\n{{ raise_exception('only ' + messages[0].role) }}"),
              "the chat template refuses these messages (line 2): only user");
}

std::string repeated(std::string const& part, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) {
        text += part;
    }
    return text;
}

TEST(Jinja, DeepNestingIsRefusedNotAStackOverflow) {
    int const many = 100'000;
    for (std::string const& source :
         {"{{ " + repeated("(", many) + "1" + repeated(")", many) + " }}",
          "{{ " + repeated("[", many) + repeated("]", many) + " }}",
          "{{ " + repeated("-", many) + "1 }}", "{{ " + repeated("not ", many) + "1 }}",
          "{{ " + repeated("1 if 1 else ", many) + "1 }}", "{{ 1" + repeated(" + 1", many) + " }}",
          "{{ 1" + repeated(" if 1", many) + " }}", "{{ x" + repeated("|trim", many) + " }}",
          "{{ x" + repeated(".a", many) + " }}", "{{ x" + repeated("[0]", many) + " }}",
          "{{ " + repeated("x[", many) + "0" + repeated("]", many) + " }}",
          "{{ 1" + repeated(" and 1", many) + " }}", "{{ x" + repeated(" or 1", many) + " }}",
          "{{ 1" + repeated("~1", many) + " }}", repeated("{% if 1 %}", many),
          repeated("{% for a in b %}", many),
          repeated("{% if 1 %}", 5000) + repeated("{% endif %}", 5000)}) {
        EXPECT_THAT(refusal(source.substr(0, 1 << 20)), HasSubstr("cannot be used"))
            << source.substr(0, 40);
    }
}

TEST(Jinja, DeeplyNestedValuesAreRefused) {
    EXPECT_THAT(refusal("{% set s = [] %}" + repeated("{% set s = [s] %}", 50'000)),
                HasSubstr("nested more than 50 deep"));
}

TEST(Jinja, WideIsNotDeep) {
    EXPECT_EQ(refusal("{{ [" + repeated("1,", 50'000) + "]|length }}"), "accepted");
    EXPECT_EQ(refusal("{% if 0 %}" + repeated("{% elif 0 %}", 10'000) + "{% endif %}"), "accepted");
    EXPECT_EQ(refusal("{{ 1 < 2" + repeated(" < 3 == 3", 10'000) + " }}"), "accepted");
    EXPECT_EQ(refusal("{{ 'a'" + repeated(" + 'a'", 200) + " }}"), "accepted");
}

TEST(Jinja, RunawayTemplatesEnd) {
    std::string const list = "[" + repeated("1,", 1000) + "]";
    EXPECT_THAT(refusal("{% for a in " + list + " %}{% for b in " + list + " %}{% for c in " +
                        list + " %}{{ a }}{% endfor %}{% endfor %}{% endfor %}"),
                HasSubstr("far more work than the messages justify"));
    EXPECT_THAT(refusal("{% set s = 'aaaaaaaa' %}" + repeated("{% set s = s ~ s %}", 60)),
                HasSubstr("far more work"));
    EXPECT_THAT(refusal("{% set s = 'aaaaaaaa' %}" + repeated("{% set s = s ~ s %}", 20) +
                        repeated("{{ s }}", 60)),
                HasSubstr("far more work"));
    EXPECT_THAT(refusal("{% set s = [1, 1, 1, 1] %}" + repeated("{% set s = [s, s, s, s] %}", 30) +
                        "{{ s == s }}"),
                HasSubstr("far more work"));
}

// Random sequences of template parts: rendering works or says why not.
TEST(Jinja, RandomTemplatesNeverCrash) {
    std::vector<std::string> const parts{
        "{{ ", " }}",    "{% ",       " %}",   "{#",    "#}",    "{%- ",     " -%}",       "for ",
        "m ",  "in ",    "messages ", "if ",   "else ", "elif ", "endif ",   "endfor ",    "set ",
        "= ",  "x ",     "'a' ",      "1 ",    "+ ",    "~ ",    "[",        "] ",         "(",
        ") ",  ".role ", "| ",        "trim ", "is ",   "not ",  "defined ", "loop.last ", ", ",
        "\n",  "and ",   "== ",       "- ",    "'",     "{",     "é"};
    std::mt19937_64 random(61);
    int accepted = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::string source;
        for (std::uint64_t i = random() % 14; i > 0; --i) {
            source += parts[random() % parts.size()];
        }
        accepted += refusal(source) == "accepted" ? 1 : 0;
    }
    EXPECT_GT(accepted, 500);
}

TEST(TrackedString, PartsAndJoinsKeepTheirOrigin) {
    TrackedString const a("0123456789", 4);
    TrackedString joined("<");
    joined.append(a.part({2, 5}));
    joined.append(a.part({5, 7}));
    joined.append(">");
    joined.append(a.part({0, 1}));
    EXPECT_EQ(joined.bytes(), "<23456>0");
    EXPECT_THAT(joined.spans(), testing::ElementsAre(TrackedString::Span{{1, 6}, 4, 2},
                                                     TrackedString::Span{{7, 8}, 4, 0}));
    joined.append(joined);
    EXPECT_EQ(joined.bytes(), "<23456>0<23456>0");
    EXPECT_EQ(joined.spans().size(), 4U);
    EXPECT_EQ(joined.part({3, 3}).spans().size(), 0U);
    EXPECT_TRUE(TrackedString("", 1).spans().empty());
}

}  // namespace
}  // namespace longhaul::text::jinja
