#include "engine/tokenizer/jinja_operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/tokenizer/jinja_format.h"
#include "engine/tokenizer/jinja_methods.h"
#include "engine/tokenizer/jinja_percent.h"

namespace weir {
namespace {

Status WrongKinds(std::string_view operation, const JinjaValue& a, const JinjaValue& b) {
  return JinjaError(
      fmt::format("\"{}\" does not work on {} and {}", operation, a.kind_name(), b.kind_name()));
}

Status Overflow(std::string_view operation) {
  return JinjaError(fmt::format("the result of \"{}\" does not fit in 64 bits", operation));
}

Result<JinjaValue> IntegerPower(int64_t base, int64_t exponent) {
  if (exponent < 0 && base == 0) return JinjaError("\"**\" has no finite result");
  if (exponent < 0) return JinjaValue::Of(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return Overflow("**");
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return Overflow("**");
  }
  return JinjaValue::Of(result);
}

Result<JinjaValue> IntegerBinary(std::string_view operation, int64_t a, int64_t b) {
  int64_t result = 0;
  if (operation == "+" && !__builtin_add_overflow(a, b, &result)) return JinjaValue::Of(result);
  if (operation == "-" && !__builtin_sub_overflow(a, b, &result)) return JinjaValue::Of(result);
  if (operation == "*" && !__builtin_mul_overflow(a, b, &result)) return JinjaValue::Of(result);
  if (operation == "**") return IntegerPower(a, b);
  if (operation == "/" || operation == "//" || operation == "%") {
    if (b == 0) return JinjaError(fmt::format("\"{}\" by zero", operation));
    if (operation == "/") return JinjaValue::Of(static_cast<double>(a) / static_cast<double>(b));
    if (b == -1) {
      if (operation == "%") return JinjaValue::Of(int64_t{0});
      if (!__builtin_sub_overflow(int64_t{0}, a, &result)) return JinjaValue::Of(result);
      return Overflow(operation);
    }
    // Python rounds down, and the remainder has the divisor's sign.
    const bool down = a % b != 0 && ((a < 0) != (b < 0));
    return JinjaValue::Of(operation == "//" ? a / b - (down ? 1 : 0) : a % b + (down ? b : 0));
  }
  return Overflow(operation);
}

Result<JinjaValue> FloatBinary(std::string_view operation, double a, double b) {
  double result = 0;
  if (operation == "+") result = a + b;
  if (operation == "-") result = a - b;
  if (operation == "*") result = a * b;
  if (operation == "**") {
    result = std::pow(a, b);
    // 0 to a negative power, a root of a negative number, and too large a number, none of which Python gives as a float.
    if (!std::isfinite(result) && std::isfinite(a) && std::isfinite(b))
      return JinjaError("\"**\" has no finite result");
  }
  if (operation == "/" || operation == "//" || operation == "%") {
    if (b == 0) return JinjaError(fmt::format("\"{}\" by zero", operation));
    if (operation == "/") result = a / b;
    if (operation == "//") result = std::floor(a / b);
    if (operation == "%") {
      result = std::fmod(a, b);
      if (result != 0 && ((result < 0) != (b < 0))) result += b;
    }
  }
  return JinjaValue::Of(result);
}

// [start, stop) with a step, Python's way: every index that a slice visits.
struct SliceRange {
  int64_t start;
  int64_t stop;
  int64_t step;
};

SliceRange ClampSlice(int64_t size, std::optional<int64_t> start, std::optional<int64_t> stop, int64_t step) {
  const auto clamp = [&](int64_t value) {
    if (value < 0) value = value < -size ? -1 : value + size;
    return std::clamp(value, step < 0 ? int64_t{-1} : int64_t{0}, step < 0 ? size - 1 : size);
  };
  SliceRange range;
  range.step = std::clamp(step, -size - 1, size + 1);
  range.start = start.has_value() ? clamp(*start) : (step < 0 ? size - 1 : 0);
  range.stop = stop.has_value() ? clamp(*stop) : (step < 0 ? -1 : size);
  return range;
}

template <typename Visit>
void ForEachIndex(const SliceRange& range, const Visit& visit) {
  for (int64_t i = range.start; range.step > 0 ? i < range.stop : i > range.stop; i += range.step) visit(i);
}

}  // namespace

Result<JinjaValue> JinjaBinary(std::string_view operation, const JinjaValue& a, const JinjaValue& b,
                               JinjaHeap* heap) {
  if (operation == "~" || (operation == "+" && a.text() != nullptr && b.text() != nullptr)) {
    WEIR_ASSIGN_OR_RETURN(const JinjaText left, JinjaToText(a, heap));
    WEIR_ASSIGN_OR_RETURN(const JinjaText right, JinjaToText(b, heap));
    WEIR_ASSIGN_OR_RETURN(JinjaText joined, ConcatenateText(left, right, heap));
    return heap->NewString(std::move(joined));
  }
  int64_t a_int = 0;
  int64_t b_int = 0;
  if (a.AsInt(&a_int) && b.AsInt(&b_int)) return IntegerBinary(operation, a_int, b_int);
  double a_float = 0;
  double b_float = 0;
  if (a.AsDouble(&a_float) && b.AsDouble(&b_float)) return FloatBinary(operation, a_float, b_float);
  if (operation == "%" && a.text() != nullptr) return JinjaPercent(*a.text(), b, heap);
  if (operation == "+" && a.list() != nullptr && b.list() != nullptr && a.is_tuple() == b.is_tuple()) {
    WEIR_RETURN_IF_ERROR(heap->Room((a.list()->size() + b.list()->size()) * sizeof(JinjaValue)));
    std::vector<JinjaValue> items = *a.list();
    items.insert(items.end(), b.list()->begin(), b.list()->end());
    return heap->NewList(std::move(items), a.is_tuple());
  }
  if (operation == "*" && a.text() != nullptr && b.AsInt(&b_int)) {
    WEIR_ASSIGN_OR_RETURN(JinjaText text, RepeatText(*a.text(), b_int, heap));
    return heap->NewString(std::move(text));
  }
  if (operation == "*" && a.list() != nullptr && b.AsInt(&b_int)) {
    const size_t size = a.list()->size();
    const uint64_t times = b_int > 0 ? static_cast<uint64_t>(b_int) : 0;
    if (size > 0 && times > JinjaBudget::kMaxLiveBytes / size) return heap->Room(~uint64_t{0} / 2);
    WEIR_RETURN_IF_ERROR(heap->Room(size * times * sizeof(JinjaValue)));
    WEIR_RETURN_IF_ERROR(heap->Spend(size * times / 16));
    std::vector<JinjaValue> items;
    for (uint64_t i = 0; size > 0 && i < times; ++i)
      items.insert(items.end(), a.list()->begin(), a.list()->end());
    return heap->NewList(std::move(items), a.is_tuple());
  }
  if (operation == "*" && b.text() != nullptr && a.AsInt(&a_int)) return JinjaBinary("*", b, a, heap);
  return WrongKinds(operation, a, b);
}

Result<JinjaValue> JinjaNegate(const JinjaValue& value) {
  int64_t integer = 0;
  if (value.AsInt(&integer)) return IntegerBinary("-", 0, integer);
  double number = 0;
  if (value.AsDouble(&number)) return JinjaValue::Of(-number);
  return JinjaError(fmt::format("\"-\" does not work on {}", value.kind_name()));
}

Result<bool> JinjaCompare(std::string_view operation, const JinjaValue& a, const JinjaValue& b,
                          JinjaHeap* heap) {
  if (operation == "==") return JinjaEquals(a, b, heap->budget());
  if (operation == "!=") return !JinjaEquals(a, b, heap->budget());
  if (operation == "not in") {
    WEIR_ASSIGN_OR_RETURN(const bool found, JinjaCompare("in", a, b, heap));
    return !found;
  }
  if (operation == "in") {
    if (b.is_undefined()) return false;
    if (b.text() != nullptr && a.text() != nullptr) {
      WEIR_RETURN_IF_ERROR(heap->SpendOnBytes(b.text()->size()));
      return b.text()->str().find(a.text()->str()) != std::string::npos;
    }
    if (b.dict() != nullptr) {
      if (a.dict() != nullptr || (a.list() != nullptr && !a.is_tuple())) return WrongKinds(operation, a, b);
      return a.text() != nullptr && FindEntry(b.dict()->entries, a.text()->str()) != nullptr;
    }
    if (b.list() != nullptr) {
      return std::any_of(b.list()->begin(), b.list()->end(),
                         [&](const JinjaValue& item) { return JinjaEquals(a, item, heap->budget()); });
    }
    return WrongKinds(operation, a, b);
  }
  const auto decide = [&](const auto& left, const auto& right) {
    if (operation == "<") return left < right;
    if (operation == "<=") return left <= right;
    if (operation == ">") return left > right;
    return left >= right;
  };
  int64_t a_int = 0;
  int64_t b_int = 0;
  if (a.AsInt(&a_int) && b.AsInt(&b_int)) return decide(a_int, b_int);
  double a_float = 0;
  double b_float = 0;
  if (a.AsDouble(&a_float) && b.AsDouble(&b_float)) return decide(a_float, b_float);
  if (a.text() != nullptr && b.text() != nullptr) return decide(a.text()->str(), b.text()->str());
  if (a.list() != nullptr && b.list() != nullptr && a.is_tuple() == b.is_tuple()) {
    // The first items that differ decide, else the lengths do.
    for (size_t i = 0; i < std::min(a.list()->size(), b.list()->size()); ++i) {
      WEIR_RETURN_IF_ERROR(heap->Spend(1));
      if (!JinjaEquals((*a.list())[i], (*b.list())[i], heap->budget()))
        return JinjaCompare(operation, (*a.list())[i], (*b.list())[i], heap);
    }
    return decide(a.list()->size(), b.list()->size());
  }
  return WrongKinds(operation, a, b);
}

Result<JinjaValue> JinjaSubscript(const JinjaValue& value, const JinjaValue& index, std::string_view name,
                                  JinjaHeap* heap) {
  if (value.is_undefined()) {
    return JinjaError(fmt::format("\"{}\" is undefined", value.Get<JinjaValue::Undefined>()->name));
  }
  const JinjaEntries* entries = value.dict() != nullptr         ? &value.dict()->entries
                                : value.name_space() != nullptr ? &value.name_space()->entries
                                                                : nullptr;
  if (entries != nullptr) {
    const JinjaValue* found = index.text() == nullptr ? nullptr : FindEntry(*entries, index.text()->str());
    if (found != nullptr) return *found;
  }
  if (index.text() != nullptr) return JinjaMember(value, index.text()->str(), name);
  if (entries != nullptr) return JinjaValue::MakeUndefined(name);
  int64_t at = 0;
  if (!index.AsInt(&at) || (value.list() == nullptr && value.text() == nullptr)) {
    return JinjaValue::MakeUndefined(name);
  }
  if (at > INT32_MAX || at < INT32_MIN) return JinjaError(fmt::format("the index {} is out of range", at));
  if (value.list() != nullptr) {
    const auto size = static_cast<int64_t>(value.list()->size());
    if (at < 0) at += size;
    return at < 0 || at >= size ? JinjaValue::MakeUndefined(name) : (*value.list())[static_cast<size_t>(at)];
  }
  WEIR_RETURN_IF_ERROR(heap->Spend(value.text()->size() / 64));
  WEIR_RETURN_IF_ERROR(heap->Room(value.text()->size() * sizeof(size_t)));
  const std::vector<size_t> offsets = CharacterOffsets(value.text()->str());
  const auto size = static_cast<int64_t>(offsets.size()) - 1;
  if (at < 0) at += size;
  if (at < 0 || at >= size) return JinjaValue::MakeUndefined(name);
  const auto i = static_cast<size_t>(at);
  return heap->NewString(value.text()->Substr(offsets[i], offsets[i + 1] - offsets[i]));
}

Result<JinjaValue> JinjaSlice(const JinjaValue& value, std::optional<int64_t> start,
                              std::optional<int64_t> stop, std::optional<int64_t> step, JinjaHeap* heap) {
  if (step == 0) return JinjaError("a slice needs a step other than 0");
  if (const auto* items = value.list()) {
    std::vector<JinjaValue> out;
    WEIR_RETURN_IF_ERROR(heap->Room(items->size() * sizeof(JinjaValue)));
    ForEachIndex(ClampSlice(static_cast<int64_t>(items->size()), start, stop, step.value_or(1)),
                 [&](int64_t i) { out.push_back((*items)[static_cast<size_t>(i)]); });
    return heap->NewList(std::move(out), value.is_tuple());
  }
  if (const JinjaText* text = value.text()) {
    WEIR_RETURN_IF_ERROR(heap->Spend(text->size() / 64));
    WEIR_RETURN_IF_ERROR(heap->Room(text->size() * sizeof(size_t)));
    const std::vector<size_t> offsets = CharacterOffsets(text->str());
    const SliceRange range =
        ClampSlice(static_cast<int64_t>(offsets.size()) - 1, start, stop, step.value_or(1));
    if (range.step == 1) {
      if (range.stop <= range.start) return heap->NewString(JinjaText());
      const size_t begin = offsets[static_cast<size_t>(range.start)];
      return heap->NewString(text->Substr(begin, offsets[static_cast<size_t>(range.stop)] - begin));
    }
    // Each character looks through the runs before it.
    WEIR_RETURN_IF_ERROR(heap->Spend(offsets.size() * (1 + text->runs().size() / 16)));
    JinjaText out;
    ForEachIndex(range, [&](int64_t i) {
      const size_t begin = offsets[static_cast<size_t>(i)];
      out.Append(text->Substr(begin, offsets[static_cast<size_t>(i) + 1] - begin));
    });
    return heap->NewString(std::move(out));
  }
  if (value.is_undefined()) {
    return JinjaError(fmt::format("\"{}\" is undefined", value.Get<JinjaValue::Undefined>()->name));
  }
  return JinjaError(fmt::format("cannot slice {}", value.kind_name()));
}

Result<std::shared_ptr<const JinjaList>> JinjaItems(const JinjaValue& value, JinjaHeap* heap) {
  if (const auto* found = value.Get<std::shared_ptr<const JinjaList>>()) return *found;
  std::vector<JinjaValue> items;
  if (const JinjaDict* dict = value.dict()) {
    for (const auto& [key, entry] : dict->entries) {
      WEIR_ASSIGN_OR_RETURN(JinjaValue name, heap->NewData(key));
      items.push_back(std::move(name));
    }
  } else if (const JinjaText* text = value.text()) {
    const std::vector<size_t> offsets = CharacterOffsets(text->str());
    WEIR_RETURN_IF_ERROR(heap->Spend(offsets.size() * (1 + text->runs().size() / 16)));
    for (size_t i = 0; i + 1 < offsets.size(); ++i) {
      WEIR_ASSIGN_OR_RETURN(JinjaValue character,
                            heap->NewString(text->Substr(offsets[i], offsets[i + 1] - offsets[i])));
      items.push_back(std::move(character));
    }
  } else if (!value.is_undefined()) {
    return JinjaError(fmt::format("cannot go through {}", value.kind_name()));
  }
  WEIR_ASSIGN_OR_RETURN(const JinjaValue list, heap->NewList(std::move(items)));
  return *list.Get<std::shared_ptr<const JinjaList>>();
}

}  // namespace weir
