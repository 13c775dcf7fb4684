#include "server/schema_grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
// g++ 12 takes members of std::regex's states for uninitialized when it instruments them (its bug 105562).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/grammar/grammar_matcher.h"
#include "engine/grammar/test_vocabulary.h"

namespace weir {
namespace {

std::shared_ptr<Grammar> Compiled(const Json& schema) {
  Result<std::shared_ptr<Grammar>> grammar = CompileSchema(schema, TestVocabulary());
  if (!grammar.has_value()) {
    ADD_FAILURE() << grammar.error().message() << "\n" << schema.dump();
    return nullptr;
  }
  return *grammar;
}

// As from a client: no key twice, either.
Json Parsed(const std::string& text) {
  Result<Json> json = ParseJson(text);
  EXPECT_TRUE(json.has_value()) << text;
  return json.has_value() ? *std::move(json) : Json();
}

// Byte by byte, as single-byte tokens.
bool Takes(const std::shared_ptr<Grammar>& grammar, const std::string& text) {
  GrammarMatcher matcher(grammar);
  for (const char c : text) {
    if (!matcher.Accept(static_cast<uint8_t>(c))) return false;
  }
  return matcher.can_end();
}

// Whether a token ends the innermost open part of the text.
bool Closes(const std::string& text, std::string_view token) {
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_string = !in_string;
    }
  }
  return in_string ? token == "\"" : token == "]" || token == "}";
}

// Follows the masks at random, leaning towards the end; the empty text when there was none.
std::string Generate(const std::shared_ptr<Grammar>& grammar, Rng* rng, bool check_masks) {
  const GrammarVocabulary& vocabulary = grammar->vocabulary();
  GrammarMatcher matcher(grammar);
  std::vector<uint64_t> mask;
  std::string text;
  for (int step = 0; step < 3000; ++step) {
    if (matcher.must_end() || (matcher.can_end() && rng->NextBelow(4) == 0)) return text;
    matcher.FillMask(&mask);
    std::vector<int32_t> allowed, closing;
    for (int32_t token = 0; token < vocabulary.size(); ++token) {
      const bool is_allowed = (mask[token / 64] >> (token % 64)) & 1;
      if (check_masks) {
        GrammarMatcher copy = matcher;
        EXPECT_EQ(copy.Accept(token), is_allowed) << text << " + " << vocabulary.texts[token];
      }
      if (!is_allowed) continue;
      allowed.push_back(token);
      if (Closes(text, vocabulary.texts[token])) closing.push_back(token);
    }
    if (allowed.empty()) {
      ADD_FAILURE() << "a dead end behind " << text;
      return "";
    }
    const bool lean = !closing.empty() && rng->NextBelow(step < 100 ? 4 : 20) != 1 &&
                      (step >= 100 || rng->NextBelow(3) == 0);
    const auto& from = lean ? closing : allowed;
    const int32_t token = from[rng->NextBelow(from.size())];
    if (!matcher.Accept(token)) {
      ADD_FAILURE() << "a mask allowed what is not accepted: " << text << " + " << vocabulary.texts[token];
      return "";
    }
    text += vocabulary.texts[token];
  }
  ADD_FAILURE() << "no end: " << text.substr(0, 300);
  return "";
}

size_t NumCharacters(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(),
                                           [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

// A validator of its own, as plain as the standard reads.
bool Holds(const Json& root, const Json& schema, const Json& value) {
  if (schema.is_boolean()) return schema.get<bool>();
  const auto all = [&](const Json& list, auto&& test) { return std::all_of(list.begin(), list.end(), test); };
  for (const auto& [key, rule] : schema.items()) {
    bool ok = true;
    if (key == "$ref") {
      const std::string name = rule.get<std::string>();
      ok =
          Holds(root, name == "#" ? root : root[nlohmann::ordered_json::json_pointer(name.substr(1))], value);
    } else if (key == "type") {
      const auto is = [&](const Json& type) {
        const std::string name = type.get<std::string>();
        return name == "null"      ? value.is_null()
               : name == "boolean" ? value.is_boolean()
               : name == "object"  ? value.is_object()
               : name == "array"   ? value.is_array()
               : name == "string"  ? value.is_string()
               : name == "integer"
                   ? value.is_number() && value.get<double>() == std::floor(value.get<double>())
                   : value.is_number();
      };
      ok = rule.is_array() ? std::any_of(rule.begin(), rule.end(), is) : is(rule);
    } else if (key == "enum") {
      ok = std::find(rule.begin(), rule.end(), value) != rule.end();
    } else if (key == "const") {
      ok = rule == value;
    } else if (key == "anyOf") {
      ok = std::any_of(rule.begin(), rule.end(), [&](const Json& one) { return Holds(root, one, value); });
    } else if (key == "oneOf") {
      ok = std::count_if(rule.begin(), rule.end(),
                         [&](const Json& one) { return Holds(root, one, value); }) == 1;
    } else if (key == "allOf") {
      ok = all(rule, [&](const Json& one) { return Holds(root, one, value); });
    } else if (value.is_object() && key == "required") {
      ok = all(rule, [&](const Json& name) { return value.contains(name.get<std::string>()); });
    } else if (value.is_object() && key == "properties") {
      for (const auto& [name, part] : rule.items())
        ok = ok && (!value.contains(name) || Holds(root, part, value[name]));
    } else if (value.is_object() && key == "additionalProperties") {
      for (const auto& [name, part] : value.items())
        ok = ok && ((schema.contains("properties") && schema["properties"].contains(name)) ||
                    Holds(root, rule, part));
    } else if (value.is_array() && key == "minItems") {
      ok = value.size() >= rule.get<size_t>();
    } else if (value.is_array() && key == "maxItems") {
      ok = value.size() <= rule.get<size_t>();
    } else if (value.is_array() && key == "prefixItems") {
      for (size_t i = 0; i < std::min(rule.size(), value.size()); ++i)
        ok = ok && Holds(root, rule[i], value[i]);
    } else if (value.is_array() && key == "items") {
      const size_t first = schema.contains("prefixItems") ? schema["prefixItems"].size() : 0;
      for (size_t i = first; i < value.size(); ++i) ok = ok && Holds(root, rule, value[i]);
    } else if (value.is_string() && key == "minLength") {
      ok = NumCharacters(value.get<std::string>()) >= rule.get<size_t>();
    } else if (value.is_string() && key == "maxLength") {
      ok = NumCharacters(value.get<std::string>()) <= rule.get<size_t>();
    } else if (value.is_string() && key == "pattern") {
      ok = std::regex_search(value.get<std::string>(), std::regex(rule.get<std::string>()));
    } else if (value.is_number() && key == "minimum") {
      ok = value.get<double>() >= rule.get<double>();
    } else if (value.is_number() && key == "maximum") {
      ok = value.get<double>() <= rule.get<double>();
    } else if (value.is_number() && key == "exclusiveMinimum") {
      ok = value.get<double>() > rule.get<double>();
    } else if (value.is_number() && key == "exclusiveMaximum") {
      ok = value.get<double>() < rule.get<double>();
    }
    if (!ok) return false;
  }
  return true;
}

TEST(SchemaGrammarTest, NoObjectHasAKeyTwice) {
  const auto any = CompileAnyObject(TestVocabulary()).value();
  EXPECT_TRUE(Takes(any, R"({"a": 1, "b": {"a": 2}})"));
  EXPECT_FALSE(Takes(any, R"({"a": 1, "a": 2})"));
  EXPECT_FALSE(Takes(any, R"({"a": 1, "\u0061": 2})"));
  EXPECT_TRUE(Takes(any, R"({"a": ["a", "a"]})"));
  const auto extra = Compiled(
      {{"type", "object"}, {"properties", {{"a", {{"type", "integer"}}}}}, {"additionalProperties", true}});
  EXPECT_TRUE(Takes(extra, R"({"a": 1, "b": 2, "c": {"b": 1}})"));
  EXPECT_FALSE(Takes(extra, R"({"a": 1, "b": 2, "b": 3})"));
  Rng rng(3);
  for (int i = 0; i < 300; ++i) Parsed(Generate(any, &rng, i < 5));
}

class RandomSchema {
 public:
  explicit RandomSchema(uint64_t seed) : rng_(seed) {}

  Json Root() {
    Json schema = Make(3);
    if (!schema.is_object()) schema = {{"anyOf", {schema}}};
    schema["$defs"] = {{"a", Make(1)},
                       {"tree",
                        {{"type", "object"},
                         {"properties",
                          {{"name", {{"type", "string"}, {"maxLength", 5}}},
                           {"kids", {{"type", "array"}, {"items", {{"$ref", "#/$defs/tree"}}}}}}},
                         {"required", {"name"}}}}};
    return schema;
  }

 private:
  bool Coin() { return rng_.NextBelow(2) == 0; }
  int Below(int bound) { return static_cast<int>(rng_.NextBelow(static_cast<uint64_t>(bound))); }

  Json Make(int depth) {
    switch (Below(depth > 0 ? 13 : 7)) {
      case 0:
        return {{"type", Coin() ? "boolean" : "null"}};
      case 1:
        return Bounds("integer");
      case 2:
        return Bounds("number");
      case 3:
      case 4:
        return String();
      case 5:
        return {{"enum", {"x", 1, nullptr, {{"k", {1, "two"}}}, "\xC3\xA9\"\\"}}};
      case 6:
        return {{"const", Coin() ? Json("fixed") : Json({1, 2})}};
      case 7:
      case 8:
        return Object(depth);
      case 9:
        return Array(depth);
      case 10:
        return {{"anyOf", {Make(depth - 1), Make(depth - 1)}}};
      case 11:
        return {{"$ref", Coin() ? "#/$defs/a" : "#/$defs/tree"}};
      default:
        return {{"type", {"string", "null", "integer"}}, {"maxLength", Below(6)}};
    }
  }
  Json Bounds(const char* type) {
    Json out = {{"type", type}};
    const int low = Below(3000) - 1500;
    if (Coin()) out[Coin() ? "minimum" : "exclusiveMinimum"] = low;
    if (Coin()) out[Coin() ? "maximum" : "exclusiveMaximum"] = low + 2 + Below(300);
    return out;
  }
  Json String() {
    static const char* const kPatterns[] = {
        "^[a-z]{2,4}$", "^(foo|ba[rz])+$", "^\\d{3}-\\d{4}$", "^a.*z$",
        "b+",           "^[^\"\\\\x]*$",   "^(a+)+b$",        "^\\w+\\s?\\w*$"};
    Json out = {{"type", "string"}};
    if (Below(3) == 0) {
      out["pattern"] = kPatterns[Below(8)];
      if (Coin()) out["maxLength"] = 9;
      return out;
    }
    const int least = Below(4);
    if (Coin()) out["minLength"] = least;
    if (Coin()) out["maxLength"] = least + Below(20);
    return out;
  }
  Json Object(int depth) {
    Json out = {{"type", "object"}, {"properties", Json::object()}, {"required", Json::array()}};
    for (const char* name : {"name", "a", "ab", "\xC3\xA9 \"q\"", "z"}) {
      if (Coin()) continue;
      out["properties"][name] = Make(depth - 1);
      if (Coin()) out["required"].push_back(name);
    }
    if (Below(3) == 0) out["additionalProperties"] = Coin() ? Json(false) : Make(depth - 1);
    return out;
  }
  Json Array(int depth) {
    Json out = {{"type", "array"}};
    const int num_heads = Below(3);
    for (int i = 0; i < num_heads; ++i) out["prefixItems"].push_back(Make(depth - 1));
    if (Coin() || num_heads == 0) out["items"] = Make(depth - 1);
    const int least = Below(3);
    if (Coin()) out["minItems"] = out.contains("items") ? least : std::min(least, num_heads);
    if (Coin()) out["maxItems"] = least + Below(4);
    return out;
  }

  Rng rng_;
};

std::string Refusal(const Json& schema) {
  const Result<std::shared_ptr<Grammar>> grammar = CompileSchema(schema, TestVocabulary());
  if (grammar.has_value()) return "compiled";
  EXPECT_EQ(grammar.error().reason(), "unsupported_schema");
  return grammar.error().message();
}

TEST(SchemaGrammarTest, GeneratedTextAlwaysMatchesItsSchema) {
#ifdef WEIR_SLOW
  constexpr uint64_t kSeeds = 3000;
#else
  constexpr uint64_t kSeeds = 250;
#endif
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Json schema = RandomSchema(seed).Root();
    const std::shared_ptr<Grammar> grammar = Compiled(schema);
    ASSERT_NE(grammar, nullptr);
    Rng rng(seed + 1);
    for (int i = 0; i < 6; ++i) {
      const std::string text = Generate(grammar, &rng, /*check_masks=*/i == 0 && seed % 4 == 0);
      ASSERT_FALSE(text.empty()) << "seed " << seed << ": " << schema.dump();
      const Json value = Parsed(text);
      ASSERT_TRUE(Holds(schema, schema, value)) << "seed " << seed << ": " << text << "\n" << schema.dump();
    }
  }
}

TEST(SchemaGrammarTest, AnyObjectIsAnyObject) {
  const std::shared_ptr<Grammar> grammar = CompileAnyObject(TestVocabulary()).value();
  for (const char* text : {"{}", "{\"a\":1}", "{\"a\": [1, 2.5e3, \"x\\n\"], \"b\": {\"c\": null}}",
                           "{\n  \"a\": true\n}", "{\"\xC3\xA9\":\"\\u00e9\"}"}) {
    EXPECT_TRUE(Takes(grammar, text)) << text;
  }
  for (const char* text : {"[]", "1", "", "{", "{\"a\"}", "{\"a\":01}", "{\"a\":1,}", "{} ", "{\"a\":\"\t\"}",
                           "{\"a\":\"\\ud800\"}", "{\"a\":\"\xC3\"}"}) {
    EXPECT_FALSE(Takes(grammar, text)) << text;
  }
  Rng rng(3);
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(Parsed(Generate(grammar, &rng, i < 3)).is_object());
}

TEST(SchemaGrammarTest, NestingEndsAtTheLimitWithoutADeadEnd) {
  const std::shared_ptr<Grammar> grammar = CompileAnyObject(TestVocabulary()).value();
  GrammarMatcher matcher(grammar);
  std::string text = "{\"a\":";
  for (const char c : text) ASSERT_TRUE(matcher.Accept(static_cast<uint8_t>(c)));
  int depth = 1;
  for (; matcher.Accept('['); ++depth) text += '[';
  EXPECT_GE(depth, 60);
  EXPECT_LE(depth, 80);
  std::vector<uint64_t> mask;
  Rng rng(5);
  for (int step = 0; !matcher.must_end(); ++step) {
    ASSERT_LT(step, 5000);
    matcher.FillMask(&mask);
    std::vector<int32_t> allowed;
    for (int32_t token = 0; token < grammar->vocabulary().size(); ++token) {
      const bool is_allowed = (mask[token / 64] >> (token % 64)) & 1;
      GrammarMatcher copy = matcher;
      ASSERT_EQ(copy.Accept(token), is_allowed) << grammar->vocabulary().texts[token];
      if (is_allowed) allowed.push_back(token);
    }
    ASSERT_FALSE(allowed.empty());
    int32_t token = allowed[rng.NextBelow(allowed.size())];
    for (const int32_t one : allowed) {
      if (step > 50 && Closes(text, grammar->vocabulary().texts[one])) token = one;
    }
    ASSERT_TRUE(matcher.Accept(token));
    text += grammar->vocabulary().texts[token];
  }
}

TEST(SchemaGrammarTest, IntegerBoundsAreExact) {
  for (const auto& [low, high] : {std::pair{0, 0}, {-5, 5}, {7, 123}, {-1234, -56}, {99, 1001}, {-1, 10}}) {
    const std::shared_ptr<Grammar> grammar =
        Compiled({{"type", "integer"}, {"minimum", low}, {"maximum", high}});
    for (int value = -1500; value <= 1500; ++value)
      ASSERT_EQ(Takes(grammar, std::to_string(value)), low <= value && value <= high) << value;
    EXPECT_FALSE(Takes(grammar, "007"));
  }
}

TEST(SchemaGrammarTest, ANamedPropertyCannotComeAsAnExtraOne) {
  const std::shared_ptr<Grammar> grammar = Compiled({{"type", "object"},
                                                     {"properties", {{"ab", {{"type", "integer"}}}}},
                                                     {"additionalProperties", {{"type", "string"}}}});
  EXPECT_TRUE(Takes(grammar, R"({"ab":1})"));
  EXPECT_TRUE(Takes(grammar, R"({"ab":1,"abc":"x","a":"y","":"z"})"));
  EXPECT_TRUE(Takes(grammar, R"({"b":"x"})"));
  EXPECT_FALSE(Takes(grammar, R"({"ab":"x"})"));
  EXPECT_FALSE(Takes(grammar, R"({"\u0061b":"x"})"));
  EXPECT_FALSE(Takes(grammar, R"({"b":"x","ab":"y"})"));
}

TEST(SchemaGrammarTest, AllOfMergesAndOneOfNeedsAWayToTellApart) {
  const std::shared_ptr<Grammar> merged =
      Compiled({{"allOf",
                 {{{"type", "object"}, {"properties", {{"a", {{"type", "integer"}}}}}, {"required", {"a"}}},
                  {{"properties", {{"b", {{"type", "string"}}}}}, {"required", {"b"}}}}}});
  EXPECT_TRUE(Takes(merged, R"({"a":1,"b":"x"})"));
  EXPECT_FALSE(Takes(merged, R"({"a":1})"));
  const auto kind = [](const char* name) {
    return Json{{"type", "object"}, {"properties", {{"kind", {{"const", name}}}}}, {"required", {"kind"}}};
  };
  EXPECT_TRUE(Takes(Compiled({{"oneOf", {kind("x"), kind("y")}}}), R"({"kind":"y"})"));
  EXPECT_TRUE(Takes(Compiled({{"oneOf", {{{"type", "string"}}, {{"type", "null"}}}}}), "null"));
  EXPECT_NE(Refusal({{"oneOf", {{{"type", "number"}}, {{"type", "integer"}}}}}).find("/oneOf"),
            std::string::npos);
}

TEST(SchemaGrammarTest, FormatsThatCannotBeEnforcedAreRefused) {
  EXPECT_TRUE(Takes(Compiled({{"type", "string"}, {"format", "date"}}), "\"2024-02-28\""));
  EXPECT_FALSE(Takes(Compiled({{"type", "string"}, {"format", "date"}}), "\"2024-02-3\""));
  EXPECT_NE(Refusal({{"type", "string"}, {"format", "hostname"}}).find("/format"), std::string::npos);
}

TEST(SchemaGrammarTest, BytesWithoutATokenAreNeverNeeded) {
  const Json schema = {{"enum", {"z", "y"}}};
  const std::shared_ptr<Grammar> grammar = CompileSchema(schema, TestVocabulary("z")).value();
  EXPECT_TRUE(Takes(grammar, "\"y\""));
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.Accept('"'));
  EXPECT_FALSE(matcher.Accept('z'));
  EXPECT_FALSE(CompileSchema({{"const", "z"}}, TestVocabulary("z")).has_value());
}

TEST(HostileGrammarTest, S1AcceptsDepth64InASchema) {
  Json schema = {{"type", "null"}};
  for (int i = 0; i < 20; ++i) schema = {{"type", "array"}, {"items", schema}};
  EXPECT_EQ(Refusal(schema), "compiled");
}

TEST(HostileGrammarTest, S2BoundsGrammars) {
  std::string groups;
  for (int i = 0; i < 60000; ++i) groups += "(";
  EXPECT_NE(Refusal({{"type", "string"}, {"pattern", groups}}).find("/pattern"), std::string::npos);
  Json chain = {{"$defs", Json::object()}, {"$ref", "#/$defs/r0"}};
  for (int i = 0; i < 5000; ++i)
    chain["$defs"]["r" + std::to_string(i)] = {{"type", "array"},
                                               {"items", {{"$ref", "#/$defs/r" + std::to_string(i + 1)}}}};
  chain["$defs"]["r5000"] = {{"type", "null"}};
  EXPECT_NE(Refusal(chain).find("2000"), std::string::npos);
  EXPECT_NE(Refusal({{"type", "string"}, {"pattern", "a{1,1000000000}"}}).find("2000"), std::string::npos);
  EXPECT_NE(Refusal({{"type", "string"}, {"pattern", "((a{1000}){1000}){1000}"}}), "compiled");
  EXPECT_NE(Refusal({{"type", "string"}, {"maxLength", 1000000000}}).find("/maxLength"), std::string::npos);
  EXPECT_NE(Refusal({{"type", "string"}, {"pattern", "(a|b)*a(a|b){30}"}}), "compiled");  // 2^30 states
}

TEST(HostileGrammarTest, S3RefusesBadSchemas) {
  const auto at = [](const Json& schema, const std::string& pointer) {
    const std::string message = Refusal(schema);
    EXPECT_NE(message.find("\"" + pointer + "\""), std::string::npos) << message;
  };
  for (const char* pattern :
       {"foo**", "(?<=x)", "(", ")", "[", "a{2", "\\p{L}", "(?i)a", "a^b", "\\1", "*a", "[b-a]"})
    at({{"type", "string"}, {"pattern", pattern}}, "/pattern");
  at({{"pattern", 7}}, "/pattern");
  at({{"type", "hiccup"}}, "/type");
  at({{"properties", {{"a", {{"$ref", "http://127.0.0.1:1/x"}}}}}}, "/properties/a");
  at({{"$ref", "#/$defs/none"}}, "");
  at({{"type", "object"}, {"minProperties", 1}}, "");
  at({{"items", {{"not", {{"type", "null"}}}}}}, "/items");
  at({{"type", "object"}, {"required", {"a"}}}, "/required");
  at({{"enum", 5}}, "/enum");
  at({{"items", {1, 2}}}, "/items");
  EXPECT_NE(Refusal({{"$ref", "#"}}), "compiled");
  EXPECT_NE(Refusal({{"anyOf", {{{"$ref", "#"}}, {{"type", "null"}}}}}).find("itself"), std::string::npos);
  EXPECT_NE(Refusal({{"type", "array"}, {"items", {{"$ref", "#"}}}, {"minItems", 1}}).find("endless"),
            std::string::npos);
  EXPECT_NE(Refusal(false), "compiled");
  EXPECT_NE(Refusal(5), "compiled");
  EXPECT_NE(Refusal({{"type", "string"}, {"minLength", 5}, {"maxLength", 4}}), "compiled");
  EXPECT_NE(Refusal({{"type", "array"}, {"minItems", 3}, {"maxItems", 2}}), "compiled");
  // Guarded recursion, and what only describes.
  EXPECT_EQ(Refusal({{"type", "array"},
                     {"items", {{"$ref", "#"}}},
                     {"title", "t"},
                     {"description", "d"},
                     {"examples", {1}}}),
            "compiled");
}

TEST(HostileGrammarTest, S4MatchesInLinearTime) {
  const std::shared_ptr<Grammar> grammar = Compiled({{"type", "string"}, {"pattern", "^(a+)+b$"}});
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.Accept('"'));
  for (int i = 0; i < 1'000'000; ++i) ASSERT_TRUE(matcher.Accept('a'));
  EXPECT_FALSE(matcher.can_end());
  ASSERT_TRUE(matcher.Accept('b'));
  ASSERT_TRUE(matcher.Accept('"'));
  EXPECT_TRUE(matcher.must_end());
}

}  // namespace
}  // namespace weir
