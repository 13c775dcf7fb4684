#include "engine/grammar/automaton.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/grammar/pattern.h"

namespace weir {
namespace {

std::shared_ptr<const Automaton> Compiled(const Expressions& e, ExpressionId root) {
  WorkBudget budget;
  return CompileExpression(e, root, &budget).value();
}

bool MatchesPattern(const std::string& pattern, const std::string& body) {
  GrammarBuilder builder;
  JsonRules json(&builder);
  const Result<ExpressionId> parsed = ParsePattern(pattern, &json, &builder.expressions());
  EXPECT_TRUE(parsed.has_value()) << pattern;
  return parsed.has_value() && Compiled(builder.expressions(), *parsed)->Matches(body);
}

TEST(AutomatonTest, CodePointsAreTheirUtf8AndNothingElse) {
  Expressions e;
  const auto all = Compiled(e, e.CodePoints(0x7F, 0x10FFFF));
  for (const char* text : {"\x7f", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(all->Matches(text)) << text;
  }
  for (const char* text : {"~", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                           "\xF4\x90\x80\x80", "\x80", "\xC2", "\xC2\x80\x80"}) {
    EXPECT_FALSE(all->Matches(text)) << text;
  }
  const auto some = Compiled(e, e.CodePoints(0xE9, 0x20AC));
  EXPECT_TRUE(some->Matches("\xC3\xA9"));
  EXPECT_TRUE(some->Matches("\xE2\x82\xAC"));
  EXPECT_FALSE(some->Matches("\xC3\xA8"));
  EXPECT_FALSE(some->Matches("\xE2\x82\xAD"));
}

TEST(AutomatonTest, IntersectionAndDifferenceAreThoseOfTheTexts) {
  Expressions e;
  const auto as = Compiled(e, e.Repeat(e.Range('a', 'b'), 0, -1));
  const auto three = Compiled(e, e.Repeat(e.Range('b', 'c'), 0, 3));
  WorkBudget budget;
  const auto both = Intersect(*as, *three, &budget).value();
  const auto rest = Subtract(*as, *three, &budget).value();
  for (const char* text : {"", "b", "bbb", "bbbb", "a", "ab", "c", "bc"}) {
    EXPECT_EQ(both->Matches(text), as->Matches(text) && three->Matches(text)) << text;
    EXPECT_EQ(rest->Matches(text), as->Matches(text) && !three->Matches(text)) << text;
  }
}

TEST(PatternTest, MatchesWhatItSays) {
  EXPECT_TRUE(MatchesPattern("^a{2,3}$", "aa"));
  EXPECT_FALSE(MatchesPattern("^a{2,3}$", "aaaa"));
  EXPECT_TRUE(MatchesPattern("a|^b$", "xax"));
  EXPECT_TRUE(MatchesPattern("a|^b$", "b"));
  EXPECT_FALSE(MatchesPattern("a|^b$", "bb"));
  EXPECT_TRUE(MatchesPattern("^(?:ab|c)*$", "abcab"));
  EXPECT_TRUE(MatchesPattern("^[^a-c]$", "\xE2\x82\xAC"));
  EXPECT_FALSE(MatchesPattern("^[^a-c]$", "b"));
  EXPECT_TRUE(MatchesPattern("^\\d+\\.\\d*?$", "12."));
  EXPECT_TRUE(MatchesPattern("^\\u00e9\\x41$",
                             "\xC3\xA9"
                             "A"));
  EXPECT_TRUE(MatchesPattern("", "anything"));
}

TEST(PatternTest, WhatJsonEscapesIsWrittenEscaped) {
  EXPECT_TRUE(MatchesPattern("^\\\\\"\\n$", "\\\\\\\"\\n"));
  EXPECT_FALSE(MatchesPattern("^.$", "\""));
  EXPECT_TRUE(MatchesPattern("^.$", "\\\""));
}

}  // namespace
}  // namespace weir
