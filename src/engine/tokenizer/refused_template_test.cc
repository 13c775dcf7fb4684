// What jinja2 renders and weir does not is refused by name, never ignored: docs/TOKENIZER.md has the list.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tiny_vocabulary.h"

namespace weir {
namespace {

using testing::HasSubstr;

class RefusedTemplate : public testing::Test {
 protected:
  // The failure's message, "load: " before it when the template is not even read; empty when it renders.
  std::string Fail(const std::string& source) {
    const Result<std::unique_ptr<ChatTemplate>> made = ChatTemplate::Create(source, *tokenizer_);
    if (!made.has_value()) return "load: " + std::string(made.error().message());
    const Result<std::vector<RenderedPiece>> pieces = (*made)->Render({{"user", "hello", ""}}, true);
    return pieces.has_value() ? "" : std::string(pieces.error().message());
  }

  std::unique_ptr<Tokenizer> tokenizer_ = std::move(*Tokenizer::Create(TinyVocabulary("smollm")));
};

TEST_F(RefusedTemplate, StarsInCalls) {
  EXPECT_THAT(Fail("{{ range(*[1, 2]) }}"),
              HasSubstr("load: chat template, line 1, column 10: \"*\" in a call"));
  EXPECT_THAT(Fail("{{ dict(**{'a': 1}) }}"), HasSubstr("column 9: \"**\" in a call is not supported"));
}

TEST_F(RefusedTemplate, KeysThatAreNoText) {
  EXPECT_THAT(Fail("{{ {1: 'a'} }}"), HasSubstr("a dict's key is an integer, expected a string"));
  EXPECT_THAT(Fail("{{ dict([(1, 2)]) }}"), HasSubstr("pairs of a text and a value"));
}

TEST_F(RefusedTemplate, ValuesThatHaveNoText) {
  EXPECT_THAT(Fail("{% macro f() %}{% endmacro %}{{ f }}"), HasSubstr("cannot print a macro"));
  EXPECT_THAT(Fail("{{ range }}"), HasSubstr("cannot print a function"));
  EXPECT_THAT(Fail("{{ namespace(a=1) }}"), HasSubstr("cannot print a namespace"));
  EXPECT_THAT(Fail("{% for x in [1] %}{{ [loop] }}{% endfor %}"), HasSubstr("cannot print the loop"));
}

TEST_F(RefusedTemplate, NamesOfJinjaThatChatTemplatesLack) {
  for (const std::string name : {"lipsum", "cycler", "joiner", "self"}) {
    EXPECT_THAT(Fail("{% if " + name + " is defined %}x{% endif %}"),
                HasSubstr("\"" + name + "\" is undefined"));
  }
  EXPECT_THAT(Fail("{% macro f() %}{% endmacro %}{{ f.nothing }}"),
              HasSubstr("unknown attribute \"nothing\" of a macro"));
}

TEST_F(RefusedTemplate, FiltersTestsAndMethodsByName) {
  for (const std::string name :
       {"filesizeformat", "center", "slice", "random", "wordcount", "truncate", "escape", "e", "striptags",
        "xmlattr", "attr", "urlencode", "urlize", "wordwrap", "pprint", "forceescape"}) {
    EXPECT_THAT(Fail("{{ 'a' | " + name + " }}"),
                HasSubstr("the filter \"" + name + "\" is unknown; known: abs"));
  }
  EXPECT_THAT(Fail("{{ 'a' is escaped }}"), HasSubstr("the test \"escaped\" is unknown; known: defined"));
  for (const std::string name :
       {"format", "format_map", "center", "ljust", "rjust", "expandtabs", "casefold", "translate", "encode",
        "isnumeric", "istitle", "isascii", "isidentifier", "isprintable", "maketrans"}) {
    EXPECT_THAT(Fail("{{ 'a'." + name + "() }}"),
                HasSubstr("unknown attribute \"" + name + "\" of a string"));
  }
  for (const std::string name : {"copy", "pop", "update", "setdefault", "clear", "popitem", "fromkeys"}) {
    EXPECT_THAT(Fail("{{ {'a': 1}." + name + "() }}"),
                HasSubstr("unknown attribute \"" + name + "\" of a dict"));
  }
  for (const std::string name : {"append", "index", "count", "copy", "pop"}) {
    EXPECT_THAT(Fail("{{ [1]." + name + "(1) }}"), HasSubstr("unknown attribute \"" + name + "\" of a list"));
  }
  EXPECT_THAT(Fail("{{ (5).real }}"), HasSubstr("unknown attribute \"real\" of an integer"));
  EXPECT_THAT(Fail("{{ {}.update }}"), HasSubstr("unknown attribute \"update\" of a dict"));
}

TEST_F(RefusedTemplate, MethodsThatAreNotCalledWhereTheyAreRead) {
  EXPECT_THAT(Fail("{{ {'items': 1}.items }}"), HasSubstr("cannot print a method"));
  EXPECT_THAT(Fail("{% set up = 'a'.upper %}{{ up() }}"), HasSubstr("cannot call a method"));
  EXPECT_THAT(Fail("{{ {'items': 1}.items | tojson }}"), HasSubstr("tojson cannot write a method"));
}

TEST_F(RefusedTemplate, ArgumentsThatAFilterATestOrAMethodDoesNotKnow) {
  EXPECT_THAT(Fail("{{ 1 | tojson(foo=1) }}"),
              HasSubstr("the filter \"tojson\" does not know the argument \"foo\""));
  EXPECT_THAT(Fail("{{ 'a' | upper(1) }}"),
              HasSubstr("the filter \"upper\" takes at most 0 arguments, not 1"));
  EXPECT_THAT(Fail("{{ [1] | join(',', d='-') }}"), HasSubstr("the filter \"join\" is given \"d\" twice"));
  EXPECT_THAT(Fail("{{ [1] | map(attribute='a', foo=1) }}"),
              HasSubstr("\"map\" does not know the argument \"foo\""));
  EXPECT_THAT(Fail("{{ 1 is defined(1) }}"), HasSubstr("the test \"defined\" takes at most 0 arguments"));
  EXPECT_THAT(Fail("{{ 4 is divisibleby(num=2) }}"),
              HasSubstr("\"divisibleby\" does not know the argument \"num\""));
  EXPECT_THAT(Fail("{{ 'a'.strip(chars='a') }}"),
              HasSubstr("the method \"strip\" does not know the argument \"chars\""));
  EXPECT_THAT(Fail("{{ {}.get('a', default=1) }}"), HasSubstr("the method \"get\" does not know"));
  EXPECT_THAT(Fail("{{ 'a'.replace('', 'b') }}"), HasSubstr("replace() needs a text to look for"));
}

TEST_F(RefusedTemplate, VariantsOfWhatIsKnown) {
  EXPECT_THAT(Fail("{{ '11' | int(base=2) }}"), HasSubstr("int does not know a \"base\" other than 10"));
  EXPECT_THAT(Fail("{{ '\u0663' | int }}"), HasSubstr("ASCII digits only"));
  EXPECT_THAT(Fail("{{ 12345.6 | round(-2) }}"), HasSubstr("\"precision\" of 0 or more"));
  for (const std::string conversion : {"c", "a", "#x", "*d"}) {
    EXPECT_THAT(Fail("{{ '%" + conversion + "' % 5 }}"), HasSubstr("of a format is not supported"));
  }
  EXPECT_THAT(Fail("{{ '%.301f' % 5 }}"), HasSubstr("a number above 300 in a format"));
  EXPECT_THAT(Fail("{{ '%1048577d' % 5 }}"), HasSubstr("a number above 1048576 in a format"));
  EXPECT_THAT(Fail("{{ [[1]] | map('map', 'abs') | list }}"), HasSubstr("map cannot apply map"));
  EXPECT_THAT(Fail("{{ 1 is sameas 1 }}"), HasSubstr("the test \"sameas\" does not work on an integer"));
  EXPECT_THAT(Fail("{{ [1] | tojson(indent=65) }}"), HasSubstr("an indent of at most 64"));
}

TEST_F(RefusedTemplate, CallsOutsideTheBlockThatMadeWhatIsCalled) {
  EXPECT_THAT(
      Fail(
          "{% set ns = namespace() %}{% for x in [1] %}{% macro f() %}{{ x }}{% endmacro %}{% set ns.f = f %}"
          "{% endfor %}{{ ns.f() }}"),
      HasSubstr("\"f\" is called outside the block it was made in"));
  EXPECT_THAT(
      Fail("{% set ns = namespace() %}{% for y in [1] %}{% for x in [1] recursive %}{% set ns.l = loop %}"
           "{% endfor %}{% endfor %}{{ ns.l([1]) }}"),
      HasSubstr("\"loop\" is called outside the block it was made in"));
  EXPECT_THAT(Fail("{% for x in [1] %}{{ loop([1]) }}{% endfor %}"), HasSubstr("marked \"recursive\""));
}

TEST_F(RefusedTemplate, ArgumentsThatAMacroDoesNotTake) {
  EXPECT_THAT(Fail("{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}"), HasSubstr("takes 1 arguments, not 2"));
  EXPECT_THAT(Fail("{% macro f(a) %}{% endmacro %}{{ f(b=2) }}"), HasSubstr("has no parameter \"b\""));
  EXPECT_THAT(Fail("{% macro f(a) %}{% endmacro %}{{ f(1, a=2) }}"), HasSubstr("has no parameter \"a\""));
  EXPECT_THAT(Fail("{% macro f(a) %}{% endmacro %}{{ f(a=1, a=2) }}"), HasSubstr("load: "));
  EXPECT_THAT(Fail("{% macro f() %}{% endmacro %}{% call f() %}{% endcall %}"),
              HasSubstr("has no parameter \"caller\""));
  EXPECT_THAT(Fail("{% call range(2) %}{% endcall %}"),
              HasSubstr("the function \"range\" does not know the argument \"caller\""));
  EXPECT_THAT(Fail("{% macro f(a=1, b) %}{% endmacro %}"), HasSubstr("\"b\" needs a default"));
  EXPECT_THAT(Fail("{% macro f(a, a) %}{% endmacro %}"), HasSubstr("two parameters \"a\""));
}

}  // namespace
}  // namespace weir
