#include "base/json.h"

#include <gtest/gtest.h>

#include <limits>

namespace weir {
namespace {

TEST(JsonTest, KeepsOrderAndTypes) {
  const Result<Json> json = ParseJson(R"({"b":1,"a":[true,null,-2,1.5,"x\u00e9"],"c":18446744073709551615})");
  ASSERT_TRUE(json.has_value()) << json.error().message();
  EXPECT_EQ(DumpJson(*json), R"({"b":1,"a":[true,null,-2,1.5,"xé"],"c":18446744073709551615})");
  EXPECT_TRUE((*json)["a"][2].is_number_integer());
  EXPECT_TRUE((*json)["a"][3].is_number_float());
}

TEST(JsonTest, IntegersBeyond64BitsAreDoubles) {
  // As Python writes the "no limit" of many published tokenizers.
  const Result<Json> json = ParseJson(
      R"({"model_max_length":1000000000000000019884624838656,"a":[-9223372036854775809,-9223372036854775808,)"
      R"(18446744073709551616,18446744073709551615,1e-18446744073709551616],"s":"\\\" 18446744073709551616"})");
  ASSERT_TRUE(json.has_value()) << json.error().message();
  EXPECT_EQ((*json)["model_max_length"], 1e30);
  EXPECT_EQ((*json)["a"][0], -9223372036854775808.0);
  EXPECT_EQ((*json)["a"][1], std::numeric_limits<int64_t>::min());
  EXPECT_EQ((*json)["a"][2], 18446744073709551616.0);
  EXPECT_EQ((*json)["a"][3], std::numeric_limits<uint64_t>::max());
  EXPECT_EQ((*json)["s"], "\\\" 18446744073709551616");
  EXPECT_EQ(*ParseJson("18446744073709551616"), 18446744073709551616.0);
  EXPECT_FALSE(ParseJson(std::string(400, '9')).has_value()) << "no double either";
  EXPECT_FALSE(ParseJson("[018446744073709551616]").has_value());
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
