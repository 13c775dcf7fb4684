#include "engine/grammar/json_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace weir {
namespace {

constexpr int kMaxIndent = 16;
constexpr int kMaxDigits = 15;
constexpr int kMaxExponentDigits = 2;
constexpr uint32_t kLastCodePoint = 0x10FFFF;

}  // namespace

ExpressionId JsonRules::Space() {
  if (space_) return *space_;
  Expressions& e = builder_.expressions();
  space_ =
      e.Choice({e.Empty(), e.Bytes(" "), e.Sequence({e.Bytes("\n"), e.Repeat(e.Bytes(" "), 0, kMaxIndent)})});
  return *space_;
}

ExpressionId JsonRules::PlainCharacter() {
  Expressions& e = builder_.expressions();
  return e.Choice(
      {e.Range(0x20, '"' - 1), e.Range('"' + 1, '\\' - 1), e.CodePoints('\\' + 1, kLastCodePoint)});
}

ExpressionId JsonRules::Character() {
  if (character_) return *character_;
  Expressions& e = builder_.expressions();
  const ExpressionId hex = e.Choice({e.Range('0', '9'), e.Range('a', 'f'), e.Range('A', 'F')});
  const ExpressionId below_d = e.Choice(
      {e.Range('0', '9'), e.Range('a', 'c'), e.Range('A', 'C'), e.Range('e', 'f'), e.Range('E', 'F')});
  const ExpressionId d = e.Choice({e.Bytes("d"), e.Bytes("D")});
  // A surrogate alone is no character, and a pair is written plainly instead.
  const ExpressionId unicode =
      e.Choice({e.Sequence({below_d, hex, hex, hex}), e.Sequence({d, e.Range('0', '7'), hex, hex})});
  std::vector<ExpressionId> escapes;
  for (const char c : std::string_view("\"\\/bfnrt")) escapes.push_back(e.Bytes(std::string(1, c)));
  escapes.push_back(e.Sequence({e.Bytes("u"), unicode}));
  character_ = e.Choice({PlainCharacter(), e.Sequence({e.Bytes("\\"), e.Choice(std::move(escapes))})});
  return *character_;
}

ExpressionId JsonRules::CharacterOf(const CodePointSet& set) {
  Expressions& e = builder_.expressions();
  if (const auto known = sets_.find(set); known != sets_.end()) return known->second;
  std::vector<ExpressionId> choices;
  for (const auto& [low, high] : set) {
    uint32_t from = low;
    // One by one up to the last character that JSON escapes.
    for (; from <= high && from <= '\\'; ++from) {
      const char c = static_cast<char>(from);
      if (c == '"' || c == '\\') {
        choices.push_back(e.Bytes(std::string("\\") + c));
      } else if (const size_t at = std::string_view("\b\f\n\r\t").find(c); at != std::string_view::npos) {
        choices.push_back(e.Bytes(std::string("\\") + "bfnrt"[at]));
      } else if (from < 0x20) {
        choices.push_back(e.Bytes(fmt::format("\\u{:04x}", from)));
      } else {
        choices.push_back(e.Range(static_cast<uint8_t>(c), static_cast<uint8_t>(c)));
      }
    }
    if (from <= high) choices.push_back(e.CodePoints(from, high));
  }
  return sets_[set] = e.Choice(std::move(choices));
}

ExpressionId JsonRules::Quoted(ExpressionId body) {
  Expressions& e = builder_.expressions();
  return e.Sequence({e.Bytes("\""), body, e.Bytes("\"")});
}

Result<ExpressionId> JsonRules::String(int least, int most) {
  Expressions& e = builder_.expressions();
  if (least > 0 || most >= 0) return Quoted(e.Repeat(Character(), least, most));
  if (!string_rule_) {
    WEIR_ASSIGN_OR_RETURN(string_rule_, builder_.Declare("a string"));
    builder_.Define(*string_rule_, Quoted(e.Repeat(Character(), 0, -1)));
  }
  return e.Call(*string_rule_);
}

ExpressionId JsonRules::Integer() {
  Expressions& e = builder_.expressions();
  const ExpressionId digits = e.Sequence({e.Range('1', '9'), e.Repeat(e.Range('0', '9'), 0, kMaxDigits - 1)});
  return e.Sequence({e.Optional(e.Bytes("-")), e.Choice({e.Bytes("0"), digits})});
}

ExpressionId JsonRules::Number() {
  Expressions& e = builder_.expressions();
  const ExpressionId digit = e.Range('0', '9');
  const ExpressionId sign = e.Choice({e.Empty(), e.Bytes("+"), e.Bytes("-")});
  const ExpressionId exponent =
      e.Sequence({e.Choice({e.Bytes("e"), e.Bytes("E")}), sign, e.Repeat(digit, 1, kMaxExponentDigits)});
  return e.Sequence({Integer(), e.Optional(e.Sequence({e.Bytes("."), e.Repeat(digit, 1, kMaxDigits)})),
                     e.Optional(exponent)});
}

// Numbers of as many digits as both ends have, which bind as long as all digits before were theirs.
ExpressionId JsonRules::Digits(std::string_view low, std::string_view high, bool above_low, bool below_high) {
  Expressions& e = builder_.expressions();
  if (low.empty()) return e.Empty();
  if (!above_low && !below_high) {
    const int count = static_cast<int>(low.size());
    return e.Repeat(e.Range('0', '9'), count, count);
  }
  const char first = above_low ? low[0] : '0';
  const char last = below_high ? high[0] : '9';
  const auto one = [&](char c, bool low_binds, bool high_binds) {
    return e.Sequence(
        {e.Bytes(std::string(1, c)), Digits(low.substr(1), high.substr(1), low_binds, high_binds)});
  };
  if (first == last) return one(first, above_low, below_high);
  std::vector<ExpressionId> choices;
  char from = first;
  char to = last;
  if (above_low) choices.push_back(one(from++, true, false));
  if (below_high) choices.push_back(one(to--, false, true));
  if (from <= to) {
    choices.push_back(e.Sequence({e.Range(static_cast<uint8_t>(from), static_cast<uint8_t>(to)),
                                  Digits(low.substr(1), high.substr(1), false, false)}));
  }
  return e.Choice(std::move(choices));
}

ExpressionId JsonRules::Magnitude(int64_t low, int64_t high) {
  std::vector<ExpressionId> choices;
  int64_t begin = 0;
  int64_t end = 9;  // of the numbers with so many digits
  while (begin <= high) {
    if (end >= low) {
      const std::string from = fmt::format("{}", std::max(low, begin));
      const std::string to = fmt::format("{}", std::min(high, end));
      choices.push_back(Digits(from, to, true, true));
    }
    begin = end + 1;
    end = 10 * end + 9;
  }
  return builder_.expressions().Choice(std::move(choices));
}

ExpressionId JsonRules::IntegerBetween(int64_t low, int64_t high) {
  Expressions& e = builder_.expressions();
  low = std::max(low, -kLargestInteger);
  high = std::min(high, kLargestInteger);
  std::vector<ExpressionId> choices;
  if (low < 0 && low <= high)
    choices.push_back(e.Sequence({e.Bytes("-"), Magnitude(std::max<int64_t>(1, -high), -low)}));
  if (high >= 0 && low <= high) choices.push_back(Magnitude(std::max<int64_t>(0, low), high));
  return e.Choice(std::move(choices));
}

ExpressionId JsonRules::List(char open, ExpressionId item, int least, int most, char close) {
  Expressions& e = builder_.expressions();
  const ExpressionId next = e.Sequence({e.Bytes(","), Space(), item});
  std::vector<ExpressionId> choices;
  if (most != 0) {
    const int least_more = std::max(0, least - 1);
    choices.push_back(e.Sequence({item, e.Repeat(next, least_more, most < 0 ? -1 : most - 1), Space()}));
  }
  if (least == 0) choices.push_back(e.Empty());
  return e.Sequence(
      {e.Bytes(std::string(1, open)), Space(), e.Choice(std::move(choices)), e.Bytes(std::string(1, close))});
}

Result<int> JsonRules::ValueRule() {
  if (value_rule_) return *value_rule_;
  builder_.AllowFreeKeys();
  Expressions& e = builder_.expressions();
  WEIR_ASSIGN_OR_RETURN(value_rule_, builder_.Declare("a value"));
  WEIR_ASSIGN_OR_RETURN(object_rule_, builder_.Declare("an object"));
  WEIR_ASSIGN_OR_RETURN(array_rule_, builder_.Declare("an array"));
  WEIR_ASSIGN_OR_RETURN(const ExpressionId string, String(0, -1));
  const ExpressionId value = e.Call(*value_rule_);
  builder_.Define(*value_rule_, e.Choice({e.Call(*object_rule_), e.Call(*array_rule_), string, Number(),
                                          e.Bytes("true"), e.Bytes("false"), e.Bytes("null")}));
  const ExpressionId member = e.Sequence({string, e.Bytes(":"), Space(), value});
  builder_.Define(*object_rule_, List('{', member, 0, -1, '}'));
  builder_.Define(*array_rule_, List('[', value, 0, -1, ']'));
  return *value_rule_;
}

Result<ExpressionId> JsonRules::AnyValue() {
  WEIR_ASSIGN_OR_RETURN(const int rule, ValueRule());
  return builder_.expressions().Call(rule);
}

Result<ExpressionId> JsonRules::AnyObject() {
  WEIR_RETURN_IF_ERROR(ValueRule().status());
  return builder_.expressions().Call(*object_rule_);
}

Result<ExpressionId> JsonRules::AnyArray() {
  WEIR_RETURN_IF_ERROR(ValueRule().status());
  return builder_.expressions().Call(*array_rule_);
}

}  // namespace weir
