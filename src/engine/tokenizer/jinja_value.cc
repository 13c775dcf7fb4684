#include "engine/tokenizer/jinja_value.h"

#include <algorithm>

namespace weir {

const JinjaText* JinjaValue::text() const {
  const auto* string = Get<std::shared_ptr<const JinjaString>>();
  return string == nullptr ? nullptr : &(*string)->text;
}

const std::vector<JinjaValue>* JinjaValue::list() const {
  const auto* found = Get<std::shared_ptr<const JinjaList>>();
  return found == nullptr ? nullptr : &(*found)->items;
}

bool JinjaValue::is_tuple() const {
  const auto* found = Get<std::shared_ptr<const JinjaList>>();
  return found != nullptr && (*found)->is_tuple;
}

const JinjaDict* JinjaValue::dict() const {
  const auto* found = Get<std::shared_ptr<const JinjaDict>>();
  return found == nullptr ? nullptr : found->get();
}

JinjaNamespace* JinjaValue::name_space() const {
  const auto* found = Get<std::shared_ptr<JinjaNamespace>>();
  return found == nullptr ? nullptr : found->get();
}

const JinjaLoop* JinjaValue::loop() const {
  const auto* found = Get<std::shared_ptr<const JinjaLoop>>();
  return found == nullptr ? nullptr : found->get();
}

bool JinjaValue::AsInt(int64_t* out) const {
  if (const bool* flag = Get<bool>()) {
    *out = *flag ? 1 : 0;
    return true;
  }
  if (const int64_t* number = Get<int64_t>()) {
    *out = *number;
    return true;
  }
  return false;
}

bool JinjaValue::AsDouble(double* out) const {
  if (const double* number = Get<double>()) {
    *out = *number;
    return true;
  }
  int64_t integer = 0;
  if (!AsInt(&integer)) return false;
  *out = static_cast<double>(integer);
  return true;
}

bool JinjaValue::Truthy() const {
  if (is_undefined() || is_none()) return false;
  double number = 0;
  if (AsDouble(&number)) return number != 0;
  if (const JinjaText* string = text()) return !string->empty();
  if (const auto* items = list()) return !items->empty();
  if (const JinjaDict* found = dict()) return !found->entries.empty();
  return true;
}

int JinjaValue::depth() const {
  if (const auto* found = Get<std::shared_ptr<const JinjaList>>()) return (*found)->depth;
  if (const auto* found = Get<std::shared_ptr<const JinjaDict>>()) return (*found)->depth;
  if (const JinjaLoop* found = loop()) return 1 + found->items->depth;
  return 0;
}

std::string_view JinjaValue::kind_name() const {
  constexpr std::string_view kNames[] = {"undefined", "none",       "a boolean", "an integer",  "a float",
                                         "a string",  "a list",     "a dict",    "a namespace", "the loop",
                                         "a macro",   "a function", "a method"};
  return kNames[variant_.index()];
}

const JinjaValue* FindEntry(const JinjaEntries& entries, std::string_view key) {
  for (const auto& [name, value] : entries) {
    if (name == key) return &value;
  }
  return nullptr;
}

void SetEntry(JinjaEntries* entries, std::string_view key, JinjaValue value) {
  for (auto& [name, old] : *entries) {
    if (name == key) {
      old = std::move(value);
      return;
    }
  }
  entries->emplace_back(std::string(key), std::move(value));
}

size_t EntryBytes(const JinjaEntries& entries) {
  size_t bytes = 0;
  for (const auto& [key, value] : entries) bytes += sizeof(JinjaEntries::value_type) + key.size();
  return bytes;
}

bool JinjaEquals(const JinjaValue& a, const JinjaValue& b, JinjaBudget* budget) {
  if (!budget->Step()) return false;
  int64_t left = 0;
  int64_t right = 0;
  if (a.AsInt(&left) && b.AsInt(&right)) return left == right;
  double left_float = 0;
  double right_float = 0;
  if (a.AsDouble(&left_float) && b.AsDouble(&right_float)) return left_float == right_float;
  if (a.text() != nullptr && b.text() != nullptr) return a.text()->str() == b.text()->str();
  if (a.list() != nullptr && b.list() != nullptr) {
    if (a.is_tuple() != b.is_tuple()) return false;
    return std::equal(
        a.list()->begin(), a.list()->end(), b.list()->begin(), b.list()->end(),
        [budget](const JinjaValue& x, const JinjaValue& y) { return JinjaEquals(x, y, budget); });
  }
  if (a.dict() != nullptr && b.dict() != nullptr) {
    const JinjaEntries& entries = a.dict()->entries;
    if (entries.size() != b.dict()->entries.size()) return false;
    return std::all_of(entries.begin(), entries.end(), [&](const auto& entry) {
      const JinjaValue* other = FindEntry(b.dict()->entries, entry.first);
      return other != nullptr && JinjaEquals(entry.second, *other, budget);
    });
  }
  if (a.name_space() != nullptr) return a.name_space() == b.name_space();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

}  // namespace weir
