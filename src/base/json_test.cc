#include "base/json.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(JsonTest, KeepsOrderAndTypes) {
  const Result<Json> json = ParseJson(R"({"b":1,"a":[true,null,-2,1.5,"x\u00e9"],"c":18446744073709551615})");
  ASSERT_TRUE(json.has_value()) << json.error().message();
  EXPECT_EQ(DumpJson(*json), R"({"b":1,"a":[true,null,-2,1.5,"xé"],"c":18446744073709551615})");
  EXPECT_TRUE((*json)["a"][2].is_number_integer());
  EXPECT_TRUE((*json)["a"][3].is_number_float());
}

TEST(JsonTest, RefusesWhatIsNotOneStrictDocument) {
  for (const char* text :
       {"", " ", "{", "[1,]", "{\"a\":1}x", "nul", "\"\\ud800\"", "\xEF\xBB\xBF{}", "{'a':1}",
        "{\"a\":1,\"a\":2}", "{\"x\":{\"a\":1,\"a\":2}}", "\"\x80\"", "01", "[1 2]", "{a:1}"}) {
    const Result<Json> json = ParseJson(text);
    ASSERT_FALSE(json.has_value()) << text;
    EXPECT_EQ(json.error().reason(), "invalid_json") << text;
  }
}

TEST(JsonTest, BoundsDepth) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(ParseJson(nested(64)).has_value());
  EXPECT_FALSE(ParseJson(nested(65)).has_value());
  EXPECT_FALSE(ParseJson(nested(100000)).has_value());
}

TEST(JsonTest, DuplicateKeysAreFoundInLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 50000; ++i) text += "\"k" + std::to_string(i) + "\":1,";
  EXPECT_TRUE(ParseJson(text + "\"last\":1}").has_value());
  EXPECT_FALSE(ParseJson(text + "\"k7\":1}").has_value());
}

TEST(JsonTest, WalksPathsWithoutThrowing) {
  const Json json = *ParseJson(R"({"a":{"b":3},"s":"t"})");
  EXPECT_EQ(JsonNumber(FindJson(json, {"a", "b"})), 3.0);
  EXPECT_EQ(JsonString(FindJson(json, {"s"})), "t");
  EXPECT_EQ(FindJson(json, {"s", "b"}), nullptr);
  EXPECT_FALSE(JsonNumber(FindJson(json, {"a"})).has_value());
}

}  // namespace
}  // namespace weir
