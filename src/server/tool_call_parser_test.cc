#include "server/tool_call_parser.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

struct Outcome {
  std::string text;
  std::vector<WireToolCall> calls;
};

Outcome ParseIn(const std::string& text, size_t piece) {
  ToolCallParser parser;
  Outcome out;
  for (size_t i = 0; i < text.size(); i += piece) parser.Add(text.substr(i, piece), &out.text, &out.calls);
  parser.Finish(&out.text, &out.calls);
  return out;
}

TEST(ToolCallParserTest, FindsCallsInPiecesOfAnySize) {
  const std::string text =
      "I look. <tool_call>\n{\"name\": \"a\", \"arguments\": {\"x\": \"</tool\"}}\n</tool_call>\n"
      "<tool_call>{\"name\":\"b\"}</tool_call>";
  for (size_t piece = 1; piece < text.size() + 1; ++piece) {
    const Outcome out = ParseIn(text, piece);
    EXPECT_EQ(out.text, "I look. ") << piece;
    ASSERT_EQ(out.calls.size(), 2u) << piece;
    EXPECT_EQ(out.calls[0].name, "a");
    EXPECT_EQ(out.calls[0].arguments, R"({"x":"</tool"})");
    EXPECT_EQ(out.calls[1].index, 1);
    EXPECT_EQ(out.calls[1].arguments, "{}");
    EXPECT_NE(out.calls[0].id, out.calls[1].id);
  }
}

TEST(ToolCallParserTest, WhatIsNoCallStaysText) {
  for (const std::string text :
       {"plain <b>text</b>", "<tool_call>no json</tool_call> x", "<tool_call>{\"name\":1}</tool_call>",
        "a <tool_", "<tool_call>", "<tool_call>{\"name\":\"a\",\"arguments\":[]}</tool_call>", "a < b"}) {
    for (const size_t piece : {1u, 3u, 100u}) {
      const Outcome out = ParseIn(text, piece);
      EXPECT_EQ(out.text, text);
      EXPECT_TRUE(out.calls.empty());
    }
  }
}

TEST(ToolCallParserTest, ACallWithoutItsEndCounts) {
  const Outcome out = ParseIn("<tool_call>{\"name\":\"a\",\"arguments\":{}}", 2);
  EXPECT_EQ(out.calls.size(), 1u);
  EXPECT_EQ(out.text, "");
}

TEST(HostileGrammarTest, S4ToolCallsAreFoundInLinearTime) {
  std::string half = "<tool_call>";
  half.append(1 << 20, '[');
  std::string many;
  while (many.size() < (1 << 20)) many += "<tool_call>";
  for (const std::string& text : {std::string(1 << 20, '['), many, half}) {
    const Outcome out = ParseIn(text, 4);
    EXPECT_EQ(out.text.size(), text.size());
    EXPECT_TRUE(out.calls.empty());
  }
}

}  // namespace
}  // namespace weir
