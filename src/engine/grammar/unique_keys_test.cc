#include "engine/grammar/unique_keys.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

// Whether the last of the two would repeat a key, wherever the text before it is cut into pieces.
bool Repeats(std::string_view before, std::string_view last) {
  UniqueKeys whole;
  whole.Accept(before);
  UniqueKeys cut;
  for (size_t i = 0; i < before.size(); ++i) cut.Accept(before.substr(i, 1));
  EXPECT_EQ(whole.WouldRepeat(last), cut.WouldRepeat(last)) << before;
  return whole.WouldRepeat(last);
}

TEST(UniqueKeysTest, SeesAKeyThatItsObjectHas) {
  EXPECT_TRUE(Repeats(R"({"a": 1, "a)", "\""));
  EXPECT_FALSE(Repeats(R"({"a": 1, "a)", "b\""));
  EXPECT_FALSE(Repeats(R"({"a": 1, "b)", "\""));
  EXPECT_TRUE(Repeats(R"({"a": 1, "b": 2, )", R"("a": 3)"));
  EXPECT_TRUE(Repeats(R"({"": 1, ")", "\""));
}

TEST(UniqueKeysTest, SeesBothInOnePiece) {
  EXPECT_TRUE(Repeats("", R"({"a":1,"a":)"));
  EXPECT_TRUE(Repeats("{\"a", R"(":1,"a")"));
  EXPECT_FALSE(Repeats("{\"a", R"(":{"a":1,"b":2},"b")"));
}

TEST(UniqueKeysTest, EachObjectHasItsOwn) {
  EXPECT_FALSE(Repeats(R"({"a": {"b": 1, "c": {)", R"("a")"));
  EXPECT_FALSE(Repeats(R"([{"a": 1}, {)", R"("a")"));
  EXPECT_TRUE(Repeats(R"({"a": {"b": 1}, )", R"("a")"));
  EXPECT_TRUE(Repeats(R"({"a": [{"b": 1}, 2], )", R"("a")"));
  EXPECT_FALSE(Repeats(R"({"a": {"b": 1}, )", R"("b")"));
}

TEST(UniqueKeysTest, StringsThatAreNoKeysMayRepeat) {
  EXPECT_FALSE(Repeats(R"({"a": "a", "b": ["a", "a", )", R"("a")"));
  EXPECT_FALSE(Repeats(R"({"a": "x\"y{[,", "b": )", R"("a")"));
  EXPECT_TRUE(Repeats(R"({"a": "x\\", )", R"("a")")) << "the backslash was escaped itself";
}

TEST(UniqueKeysTest, ComparesWhatKeysMean) {
  EXPECT_TRUE(Repeats(R"({"a": 1, "\u006)", "1\""));
  EXPECT_TRUE(Repeats(R"({"\u00e9": 1, ")", "\xC3\xA9\""));
  EXPECT_TRUE(Repeats(R"({"\ud83d\ude00": 1, ")", "\xF0\x9F\x98\x80\""));
  EXPECT_TRUE(Repeats(R"({"\n\"": 1, "\u000a\u0022)", "\""));
  EXPECT_FALSE(Repeats(R"({"\ud83d": 1, "\ud83d\ude00)", "\""));
  EXPECT_FALSE(Repeats(R"({"\\u0061": 1, "a)", "\""));
}

TEST(UniqueKeysTest, TextAroundTheValuesIsPassedOver) {
  EXPECT_TRUE(Repeats("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1, ", "\"a\""));
  EXPECT_FALSE(Repeats("<tool_call>\n{\"name\": 1}\n</tool_call>\n<tool_call>\n{", "\"name\""));
}

}  // namespace
}  // namespace weir
