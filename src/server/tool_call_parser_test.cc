#include "server/tool_call_parser.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace weir {
namespace {

constexpr ToolCallDelivery kDeliveries[] = {ToolCallDelivery::kWhole, ToolCallDelivery::kInPieces};

struct Outcome {
  std::string text;
  std::vector<WireToolCall> calls;
  int num_deltas = 0;
};

// As a client joins the deltas of a stream.
Outcome ParseIn(const std::string& text, size_t piece, ToolCallDelivery delivery) {
  ToolCallParser parser(delivery);
  Outcome out;
  const auto join = [&](const std::vector<WireToolCall>& deltas) {
    for (const WireToolCall& delta : deltas) {
      ++out.num_deltas;
      if (delta.id.empty()) {
        ASSERT_TRUE(delta.name.empty());
        ASSERT_EQ(delta.index, static_cast<int>(out.calls.size()) - 1);
        out.calls.back().arguments += delta.arguments;
      } else {
        ASSERT_EQ(delta.index, static_cast<int>(out.calls.size()));
        out.calls.push_back(delta);
      }
    }
  };
  for (size_t i = 0; i < text.size(); i += piece) {
    std::vector<WireToolCall> deltas;
    parser.Add(text.substr(i, piece), &out.text, &deltas);
    join(deltas);
  }
  std::vector<WireToolCall> deltas;
  parser.Finish(&out.text, &deltas);
  join(deltas);
  EXPECT_EQ(parser.num_calls(), static_cast<int>(out.calls.size()));
  return out;
}

TEST(ToolCallParserTest, FindsCallsInPiecesOfAnySize) {
  const std::string text =
      "I look. <tool_call>\n{\"name\": \"a\", \"arguments\": {\"x\": \"</tool\"}}\n</tool_call>\n"
      "<tool_call>{\"name\":\"b\"}</tool_call> "
      "<tool_call>{ \"name\" : \"c\\\"d\",\n\"parameters\" :{\"y\": [{\"}\": \"\\\\\\\"]\"}, 1e2]} } "
      "</tool_call>";
  for (const ToolCallDelivery delivery : kDeliveries) {
    for (size_t piece = 1; piece < text.size() + 1; ++piece) {
      const Outcome out = ParseIn(text, piece, delivery);
      EXPECT_EQ(out.text, "I look. ") << piece;
      ASSERT_EQ(out.calls.size(), 3u) << piece;
      EXPECT_EQ(out.calls[0].name, "a");
      EXPECT_EQ(out.calls[0].arguments, R"({"x": "</tool"})");
      EXPECT_EQ(out.calls[1].index, 1);
      EXPECT_EQ(out.calls[1].arguments, "{}");
      EXPECT_NE(out.calls[0].id, out.calls[1].id);
      EXPECT_EQ(out.calls[2].name, "c\"d");
      EXPECT_EQ(out.calls[2].arguments, R"({"y": [{"}": "\\\"]"}, 1e2]})");
    }
  }
}

TEST(ToolCallParserTest, ArgumentsGoOutAsTheyCome) {
  ToolCallParser parser(ToolCallDelivery::kInPieces);
  std::string text;
  std::vector<WireToolCall> calls;
  const auto add = [&](std::string_view piece) {
    calls.clear();
    parser.Add(piece, &text, &calls);
    return calls.size() == 1 ? calls[0].name + "|" + calls[0].arguments : std::to_string(calls.size());
  };
  EXPECT_EQ(add("<tool_call>{\"name\": \"get\", \"arg"), "0");
  EXPECT_EQ(add("uments\": {\"ci"), "get|{\"ci");
  EXPECT_FALSE(calls[0].id.empty());
  EXPECT_EQ(add("ty\": \"Par"), "|ty\": \"Par");
  EXPECT_TRUE(calls[0].id.empty());
  EXPECT_EQ(add("is\"}"), "|is\"}");
  EXPECT_EQ(add("}</tool_call>"), "0");
  EXPECT_EQ(text, "");
}

TEST(ToolCallParserTest, WhatIsNoCallStaysText) {
  for (const std::string text :
       {"plain <b>text</b>", "<tool_call>no json</tool_call> x", "<tool_call>{\"name\":1}</tool_call>",
        "a <tool_", "<tool_call>", "<tool_call>{\"name\":\"a\",\"arguments\":[]}</tool_call>", "a < b",
        "<tool_call>{\"name\":\"a\",\"arg\":{}",
        "<tool_call>{\"name\":\"a\\x\",\"arguments\":{}}</tool_call>"}) {
    for (const ToolCallDelivery delivery : kDeliveries) {
      for (const size_t piece : {1u, 3u, 100u}) {
        const Outcome out = ParseIn(text, piece, delivery);
        EXPECT_EQ(out.text, text);
        EXPECT_TRUE(out.calls.empty());
      }
    }
  }
}

TEST(ToolCallParserTest, AWholeCallWithABadEndStaysTextAndOneInPiecesKeepsWhatWasSent) {
  for (const auto& [text, arguments, rest] : std::vector<std::array<std::string, 3>>{
           {"<tool_call>{\"name\":\"a\",\"arguments\":{\"x\":1}} and so on", "{\"x\":1}", "and so on"},
           {"<tool_call>{\"name\":\"a\",\"arguments\":{\"x\":\"\n}}</tool_call>b", "{\"x\":\"\n}}", "b"},
           {"<tool_call>{\"name\":\"a\",\"arguments\":{\"x\":1}}}</tool_call>b", "{\"x\":1}", "b"},
           {"<tool_call>{\"name\":\"a\",\"arguments\":{\"x\"", "{\"x\"", ""}}) {
    for (const size_t piece : {1u, 3u, 100u}) {
      EXPECT_EQ(ParseIn(text, piece, ToolCallDelivery::kWhole).text, text);
      const Outcome out = ParseIn(text, piece, ToolCallDelivery::kInPieces);
      ASSERT_EQ(out.calls.size(), 1u);
      EXPECT_EQ(out.calls[0].arguments, arguments);
      EXPECT_EQ(out.text, rest);
    }
  }
}

TEST(ToolCallParserTest, ACallWithoutItsEndCounts) {
  for (const ToolCallDelivery delivery : kDeliveries) {
    const Outcome out = ParseIn("<tool_call>{\"name\":\"a\",\"arguments\":{}}", 2, delivery);
    EXPECT_EQ(out.calls.size(), 1u);
    EXPECT_EQ(out.text, "");
  }
}

TEST(HostileGrammarTest, S4ToolCallsAreFoundInLinearTime) {
  std::string half = "<tool_call>";
  half.append(1 << 20, '[');
  std::string many;
  while (many.size() < (1 << 20)) many += "<tool_call>";
  const std::string head = "<tool_call>{\"name\":\"a\",\"arguments\":";
  for (const ToolCallDelivery delivery : kDeliveries) {
    for (const std::string& text : {std::string(1 << 20, '['), many, half}) {
      const Outcome out = ParseIn(text, 4, delivery);
      EXPECT_EQ(out.text.size(), text.size());
      EXPECT_TRUE(out.calls.empty());
    }
    // Arguments that never end are either not sent at all or sent as they come.
    for (const std::string& endless : {std::string(1 << 20, '{'), "{\"" + std::string(1 << 20, '\n')}) {
      const Outcome out = ParseIn(head + endless, 4, delivery);
      if (delivery == ToolCallDelivery::kWhole) {
        EXPECT_EQ(out.text.size(), head.size() + endless.size());
      } else {
        ASSERT_EQ(out.calls.size(), 1u);
        EXPECT_EQ(out.calls[0].arguments, endless);
      }
    }
  }
}

}  // namespace
}  // namespace weir
