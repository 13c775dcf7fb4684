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
