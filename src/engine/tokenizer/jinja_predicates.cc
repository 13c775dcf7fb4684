#include "engine/tokenizer/jinja_predicates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_filters.h"
#include "engine/tokenizer/jinja_format.h"
#include "engine/tokenizer/jinja_operators.h"
#include "engine/tokenizer/jinja_strings.h"

namespace weir {
namespace {

using Predicate = bool (*)(const JinjaValue& value);

struct Row {
  std::string_view name;
  Predicate predicate;
};

// sameas: whether both are one object. Of numbers and texts Python itself does not say.
Result<bool> IsSame(const JinjaValue& a, const JinjaValue& b) {
  if (a.kind_name() != b.kind_name()) return false;
  if (const bool* flag = a.Get<bool>()) return *flag == *b.Get<bool>();
  if (a.is_none()) return true;
  if (a.list() != nullptr) return a.list() == b.list();
  if (a.dict() != nullptr) return a.dict() == b.dict();
  if (a.name_space() != nullptr) return a.name_space() == b.name_space();
  return JinjaError(fmt::format("the test \"sameas\" does not work on {}", a.kind_name()));
}

constexpr Row kRows[] = {
    {"defined", [](const JinjaValue& v) { return !v.is_undefined(); }},
    {"undefined", [](const JinjaValue& v) { return v.is_undefined(); }},
    {"none", [](const JinjaValue& v) { return v.is_none(); }},
    {"boolean", [](const JinjaValue& v) { return v.Is<bool>(); }},
    {"true", [](const JinjaValue& v) { return v.Is<bool>() && *v.Get<bool>(); }},
    {"false", [](const JinjaValue& v) { return v.Is<bool>() && !*v.Get<bool>(); }},
    {"integer", [](const JinjaValue& v) { return v.Is<int64_t>(); }},
    {"float", [](const JinjaValue& v) { return v.Is<double>(); }},
    {"number", [](const JinjaValue& v) { return v.is_number(); }},
    {"string", [](const JinjaValue& v) { return v.text() != nullptr; }},
    {"mapping", [](const JinjaValue& v) { return v.dict() != nullptr; }},
    {"sequence",
     [](const JinjaValue& v) {
       return v.text() != nullptr || v.list() != nullptr || v.dict() != nullptr || v.is_undefined();
     }},
    {"iterable",
     [](const JinjaValue& v) {
       return v.text() != nullptr || v.list() != nullptr || v.dict() != nullptr || v.is_undefined();
     }},
    {"callable",
     [](const JinjaValue& v) {
       return v.Is<JinjaClosure>() || v.Is<JinjaFunction>() || v.Is<JinjaMethod>() || v.loop() != nullptr ||
              v.is_undefined();
     }},
};

// Tests that compare with an argument, by the operator they stand for.
struct Comparison {
  std::string_view name;
  std::string_view operation;
};

constexpr Comparison kComparisons[] = {
    {"equalto", "=="}, {"eq", "=="}, {"==", "=="}, {"ne", "!="},         {"!=", "!="}, {"lt", "<"},
    {"lessthan", "<"}, {"le", "<="}, {"gt", ">"},  {"greaterthan", ">"}, {"ge", ">="}, {"in", "in"},
};

}  // namespace

bool IsJinjaTest(std::string_view name) {
  const auto is_named = [&](const auto& row) { return row.name == name; };
  constexpr std::string_view kOthers[] = {"odd",   "even",  "divisibleby", "sameas",
                                          "lower", "upper", "filter",      "test"};
  return std::any_of(std::begin(kRows), std::end(kRows), is_named) ||
         std::any_of(std::begin(kComparisons), std::end(kComparisons), is_named) ||
         std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
}

Result<bool> ApplyJinjaTest(std::string_view name, const JinjaValue& value, const JinjaArguments& arguments,
                            JinjaHeap* heap) {
  std::string known;
  for (const Row& row : kRows) {
    if (row.name == name) {
      WEIR_RETURN_IF_ERROR(CheckJinjaArguments("test", name, "", arguments));
      return row.predicate(value);
    }
    known += fmt::format("{}, ", row.name);
  }
  if (!IsJinjaTest(name)) {
    return JinjaError(fmt::format(
        "the test \"{}\" is unknown; known: {}odd, even, divisibleby, sameas, equalto, in, lower, "
        "upper, filter, test and comparisons",
        QuoteForMessage(name), known));
  }
  if (name == "filter" || name == "test") {
    WEIR_RETURN_IF_ERROR(CheckJinjaArguments("test", name, "", arguments));
    if (value.text() == nullptr) return false;
    return name == "filter" ? IsJinjaFilter(value.text()->str()) : IsJinjaTest(value.text()->str());
  }
  if (name == "lower" || name == "upper") {
    WEIR_RETURN_IF_ERROR(CheckJinjaArguments("test", name, "", arguments));
    WEIR_ASSIGN_OR_RETURN(const JinjaText text, JinjaToText(value, heap));
    WEIR_RETURN_IF_ERROR(heap->SpendOnCharacters(text.size()));
    return IsInCase(text.str(), name == "upper");
  }
  if (name == "odd" || name == "even") {
    WEIR_RETURN_IF_ERROR(CheckJinjaArguments("test", name, "", arguments));
    double number = 0;
    if (!value.AsDouble(&number))
      return JinjaError(fmt::format("the test \"{}\" does not work on {}", name, value.kind_name()));
    int64_t integer = 0;
    if (value.AsInt(&integer)) return ((integer & 1) == 1) == (name == "odd");
    return std::fabs(std::fmod(number, 2.0)) == (name == "odd" ? 1.0 : 0.0);
  }
  WEIR_RETURN_IF_ERROR(CheckJinjaArguments("test", name, "other /", arguments));
  if (arguments.positional.empty()) return JinjaError(fmt::format("the test \"{}\" needs an argument", name));
  const JinjaValue& argument = arguments.positional[0];
  if (name == "sameas") return IsSame(value, argument);
  if (name == "divisibleby") {
    int64_t number = 0;
    int64_t divisor = 0;
    if (!value.AsInt(&number) || !argument.AsInt(&divisor) || divisor == 0) {
      return JinjaError("the test \"divisibleby\" needs two integers, the second not 0");
    }
    return divisor == -1 || number % divisor == 0;
  }
  const auto row = std::find_if(std::begin(kComparisons), std::end(kComparisons),
                                [&](const Comparison& one) { return one.name == name; });
  return JinjaCompare(row->operation, value, argument, heap);
}

}  // namespace weir
