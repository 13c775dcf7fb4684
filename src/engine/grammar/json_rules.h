// The parts of JSON that schemas are made of.
//
// Requires  the builder outlives it
// Errors    as GrammarBuilder
// Threads   one compilation, one thread
//
// Less than all of JSON, so that output ends: between tokens nothing, one space, or a line break with at most 16 spaces;
// numbers of at most 15 digits before and behind the point and two in the exponent.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/grammar/grammar_builder.h"

namespace weir {

// Code points, ascending, without overlap.
using CodePointSet = std::vector<std::pair<uint32_t, uint32_t>>;

class JsonRules {
 public:
  explicit JsonRules(GrammarBuilder* builder) : builder_(*builder) {}

  ExpressionId Space();
  // One character inside a string, also escaped; or one of a set, spelled in the shortest way.
  ExpressionId Character();
  ExpressionId CharacterOf(const CodePointSet& set);
  // One without any escape.
  ExpressionId PlainCharacter();
  ExpressionId Quoted(ExpressionId body);
  // Without bounds a call of a rule that all strings share. most -1: without end.
  Result<ExpressionId> String(int least, int most);
  ExpressionId Integer();
  ExpressionId Number();
  // Both ends included; within 15 digits.
  ExpressionId IntegerBetween(int64_t low, int64_t high);
  Result<ExpressionId> AnyValue();
  Result<ExpressionId> AnyObject();
  Result<ExpressionId> AnyArray();
  // "[" or "{", then `item` least to most times with commas, then the end.
  ExpressionId List(char open, ExpressionId item, int least, int most, char close);

  static constexpr int64_t kLargestInteger = 999'999'999'999'999;

 private:
  ExpressionId Digits(std::string_view low, std::string_view high, bool above_low, bool below_high);
  ExpressionId Magnitude(int64_t low, int64_t high);
  Result<int> ValueRule();

  GrammarBuilder& builder_;
  std::optional<int> value_rule_, object_rule_, array_rule_, string_rule_;
  std::optional<ExpressionId> space_, character_;
  std::map<CodePointSet, ExpressionId> sets_;
};

}  // namespace weir
