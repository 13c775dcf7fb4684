#include "engine/tokenizer/jinja_predicates.h"

#include <fmt/format.h>

#include <string>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_operators.h"

namespace weir {
namespace {

using Predicate = bool (*)(const JinjaValue& value);

struct Row {
  std::string_view name;
  Predicate predicate;
};

bool IsParity(const JinjaValue& value, int64_t wanted) {
  int64_t number = 0;
  return value.AsInt(&number) && (number & 1) == wanted;
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
     [](const JinjaValue& v) { return v.text() != nullptr || v.list() != nullptr || v.dict() != nullptr; }},
    {"iterable",
     [](const JinjaValue& v) {
       return v.text() != nullptr || v.list() != nullptr || v.dict() != nullptr || v.is_undefined();
     }},
    {"callable",
     [](const JinjaValue& v) {
       return v.Is<JinjaClosure>() || v.Is<JinjaFunction>() || v.Is<JinjaMethod>() || v.loop() != nullptr;
     }},
    {"odd", [](const JinjaValue& v) { return IsParity(v, 1); }},
    {"even", [](const JinjaValue& v) { return IsParity(v, 0); }},
};

// Tests that compare with an argument, by the operator they stand for.
struct Comparison {
  std::string_view name;
  std::string_view operation;
};

constexpr Comparison kComparisons[] = {
    {"equalto", "=="},    {"eq", "=="}, {"==", "=="},      {"sameas", "=="}, {"ne", "!="},
    {"!=", "!="},         {"lt", "<"},  {"lessthan", "<"}, {"le", "<="},     {"gt", ">"},
    {"greaterthan", ">"}, {"ge", ">="}, {"in", "in"},
};

}  // namespace

Result<bool> ApplyJinjaTest(std::string_view name, const JinjaValue& value, const JinjaArguments& arguments,
                            JinjaHeap* heap) {
  std::string known;
  for (const Row& row : kRows) {
    if (row.name == name) return row.predicate(value);
    known += fmt::format("{}, ", row.name);
  }
  const JinjaValue* argument = arguments.Find(0, "other");
  for (const Comparison& row : kComparisons) {
    if (row.name != name) continue;
    if (argument == nullptr) return JinjaError(fmt::format("the test \"{}\" needs an argument", name));
    return JinjaCompare(row.operation, value, *argument, heap);
  }
  if (name == "divisibleby") {
    int64_t number = 0;
    int64_t divisor = 0;
    if (argument == nullptr || !value.AsInt(&number) || !argument->AsInt(&divisor) || divisor == 0) {
      return JinjaError("the test \"divisibleby\" needs two integers, the second not 0");
    }
    return divisor == -1 || number % divisor == 0;
  }
  if ((name == "lower" || name == "upper") && value.text() != nullptr) {
    const TextCase wanted = name == "lower" ? TextCase::kLower : TextCase::kUpper;
    WEIR_ASSIGN_OR_RETURN(const JinjaText changed, ChangeCase(*value.text(), wanted, heap));
    return changed.str() == value.text()->str();
  }
  return JinjaError(
      fmt::format("the test \"{}\" is unknown; known: {}divisibleby, equalto, in, lower, upper and "
                  "comparisons",
                  QuoteForMessage(name), known));
}

}  // namespace weir
