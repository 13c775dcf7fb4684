#include "engine/tokenizer/jinja_sort_filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "engine/tokenizer/jinja_operators.h"
#include "engine/tokenizer/jinja_strings.h"

namespace weir {
namespace {

// What an item is compared by: itself or an attribute, text without regard to case unless it is wanted.
Result<JinjaValue> KeyOf(JinjaValue item, const JinjaValue* attribute, const JinjaValue* fallback,
                         bool case_sensitive, JinjaHeap* heap) {
  WEIR_RETURN_IF_ERROR(heap->Spend(1));
  if (attribute != nullptr && !attribute->is_none()) {
    WEIR_ASSIGN_OR_RETURN(item, JinjaAttribute(std::move(item), *attribute, fallback, heap));
  }
  if (case_sensitive || item.text() == nullptr) return item;
  WEIR_ASSIGN_OR_RETURN(JinjaText lower, ChangeCase(*item.text(), TextCase::kLower, heap));
  return heap->NewString(std::move(lower));
}

bool IsSet(const JinjaValue* value) { return value != nullptr && value->Truthy(); }

struct Keyed {
  std::shared_ptr<const JinjaList> items;
  std::vector<JinjaValue> keys;
};

Result<Keyed> KeyAll(const JinjaValue& value, const JinjaValue* attribute, bool case_sensitive,
                     JinjaHeap* heap, const JinjaValue* fallback = nullptr) {
  Keyed keyed;
  WEIR_ASSIGN_OR_RETURN(keyed.items, JinjaItems(value, heap));
  WEIR_RETURN_IF_ERROR(heap->Room(keyed.items->items.size() * sizeof(JinjaValue)));
  for (const JinjaValue& item : keyed.items->items) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue key, KeyOf(item, attribute, fallback, case_sensitive, heap));
    keyed.keys.push_back(std::move(key));
  }
  return keyed;
}

// The order of the keys, equal ones as they stand, also when reversed.
Result<std::vector<size_t>> OrderOf(const std::vector<JinjaValue>& keys, bool reverse, JinjaHeap* heap) {
  WEIR_RETURN_IF_ERROR(heap->Spend(keys.size() * static_cast<uint64_t>(std::bit_width(keys.size()))));
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  Status failed;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (!failed.ok()) return false;
    const Result<bool> less = JinjaCompare("<", keys[reverse ? b : a], keys[reverse ? a : b], heap);
    if (!less.has_value()) failed = less.error();
    return less.has_value() && *less;
  });
  if (!failed.ok()) return failed;
  return order;
}

template <bool kMax>
Result<JinjaValue> Extreme(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const Keyed keyed, KeyAll(value, arguments.Find(1, "attribute"),
                                                  IsSet(arguments.Find(0, "case_sensitive")), heap));
  if (keyed.keys.empty()) return JinjaValue::MakeUndefined("an item");
  size_t best = 0;
  for (size_t i = 1; i < keyed.keys.size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(const bool better,
                          JinjaCompare(kMax ? ">" : "<", keyed.keys[i], keyed.keys[best], heap));
    if (better) best = i;
  }
  return keyed.items->items[best];
}

}  // namespace

Result<JinjaValue> JinjaAttribute(JinjaValue item, const JinjaValue& attribute, const JinjaValue* fallback,
                                  JinjaHeap* heap) {
  const auto read = [&](const JinjaValue& key) -> Status {
    WEIR_ASSIGN_OR_RETURN(item, JinjaSubscript(item, key, "an attribute", heap));
    if (item.is_undefined() && fallback != nullptr && !fallback->is_none()) item = *fallback;
    return OkStatus();
  };
  if (attribute.text() == nullptr) {
    if (!attribute.Is<int64_t>()) return JinjaError("an attribute needs a name or a number");
    WEIR_RETURN_IF_ERROR(read(attribute));
    return item;
  }
  std::string_view path = attribute.text()->str();
  while (true) {
    const size_t dot = path.find('.');
    const std::string_view part = path.substr(0, dot);
    int64_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    JinjaValue key = JinjaValue::Of(index);
    if (error != std::errc() || end != part.data() + part.size() || part[0] == '-') {
      WEIR_ASSIGN_OR_RETURN(key, heap->NewData(std::string(part)));
    }
    WEIR_RETURN_IF_ERROR(read(key));
    if (dot == std::string_view::npos) return item;
    path = path.substr(dot + 1);
  }
}

Result<JinjaValue> JinjaSort(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const Keyed keyed, KeyAll(value, arguments.Find(2, "attribute"),
                                                  IsSet(arguments.Find(1, "case_sensitive")), heap));
  WEIR_ASSIGN_OR_RETURN(const auto order, OrderOf(keyed.keys, IsSet(arguments.Find(0, "reverse")), heap));
  std::vector<JinjaValue> sorted;
  for (const size_t i : order) sorted.push_back(keyed.items->items[i]);
  return heap->NewList(std::move(sorted));
}

Result<JinjaValue> JinjaDictSort(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  if (value.dict() == nullptr)
    return JinjaError(fmt::format("dictsort does not work on {}", value.kind_name()));
  const JinjaText* by = arguments.Text(1, "by");
  if (by != nullptr && by->str() != "key" && by->str() != "value")
    return JinjaError("dictsort sorts by \"key\" or \"value\"");
  const bool by_value = by != nullptr && by->str() == "value";
  std::vector<JinjaValue> pairs, keys;
  for (const auto& [name, entry] : value.dict()->entries) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue key, heap->NewData(name));
    WEIR_ASSIGN_OR_RETURN(JinjaValue compared, KeyOf(by_value ? entry : key, nullptr, nullptr,
                                                     IsSet(arguments.Find(0, "case_sensitive")), heap));
    keys.push_back(std::move(compared));
    WEIR_ASSIGN_OR_RETURN(JinjaValue pair, heap->NewList({std::move(key), entry}, true));
    pairs.push_back(std::move(pair));
  }
  WEIR_ASSIGN_OR_RETURN(const auto order, OrderOf(keys, IsSet(arguments.Find(2, "reverse")), heap));
  std::vector<JinjaValue> sorted;
  for (const size_t i : order) sorted.push_back(pairs[i]);
  return heap->NewList(std::move(sorted));
}

Result<JinjaValue> JinjaUnique(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const Keyed keyed, KeyAll(value, arguments.Find(1, "attribute"),
                                                  IsSet(arguments.Find(0, "case_sensitive")), heap));
  std::vector<JinjaValue> kept;
  std::vector<size_t> first;
  for (size_t i = 0; i < keyed.keys.size(); ++i) {
    WEIR_RETURN_IF_ERROR(heap->Spend(1 + first.size() / 16));
    const bool seen = std::any_of(first.begin(), first.end(), [&](size_t other) {
      return JinjaEquals(keyed.keys[i], keyed.keys[other], heap->budget());
    });
    if (seen) continue;
    first.push_back(i);
    kept.push_back(keyed.items->items[i]);
  }
  return heap->NewList(std::move(kept));
}

// Pairs of what the items of a group have in common, as the first of them spells it, and the list of them.
Result<JinjaValue> JinjaGroupBy(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  const JinjaValue* attribute = arguments.Find(0, "attribute");
  const JinjaValue* fallback = arguments.Find(1, "default");
  if (attribute == nullptr) return JinjaError("groupby needs an attribute's name");
  WEIR_ASSIGN_OR_RETURN(const Keyed keyed,
                        KeyAll(value, attribute, IsSet(arguments.Find(2, "case_sensitive")), heap, fallback));
  WEIR_ASSIGN_OR_RETURN(const auto order, OrderOf(keyed.keys, false, heap));
  std::vector<JinjaValue> groups;
  for (size_t begin = 0; begin < order.size();) {
    std::vector<JinjaValue> members;
    size_t end = begin;
    for (;
         end < order.size() && JinjaEquals(keyed.keys[order[end]], keyed.keys[order[begin]], heap->budget());
         ++end) {
      members.push_back(keyed.items->items[order[end]]);
    }
    WEIR_RETURN_IF_ERROR(heap->Spend(1));
    if (end == begin) return JinjaError("groupby found a value that does not equal itself");
    WEIR_ASSIGN_OR_RETURN(JinjaValue name, KeyOf(members[0], attribute, fallback, true, heap));
    WEIR_ASSIGN_OR_RETURN(JinjaValue list, heap->NewList(std::move(members)));
    WEIR_ASSIGN_OR_RETURN(JinjaValue group, heap->NewGroup(std::move(name), std::move(list)));
    groups.push_back(std::move(group));
    begin = end;
  }
  return heap->NewList(std::move(groups));
}

Result<JinjaValue> JinjaMin(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  return Extreme<false>(value, arguments, heap);
}

Result<JinjaValue> JinjaMax(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  return Extreme<true>(value, arguments, heap);
}

Result<JinjaValue> JinjaSum(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const Keyed keyed, KeyAll(value, arguments.Find(0, "attribute"), true, heap));
  const JinjaValue* start = arguments.Find(1, "start");
  JinjaValue sum = start == nullptr ? JinjaValue::Of(int64_t{0}) : *start;
  if (sum.text() != nullptr) return JinjaError("sum does not work on text");
  for (const JinjaValue& key : keyed.keys) {
    WEIR_ASSIGN_OR_RETURN(sum, JinjaBinary("+", sum, key, heap));
  }
  return sum;
}

Result<JinjaValue> JinjaBatch(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> items, JinjaItems(value, heap));
  int64_t size = 0;
  const JinjaValue* given = arguments.Find(0, "linecount");
  if (given == nullptr || !given->AsInt(&size) || size < 1 || size > (int64_t{1} << 20))
    return JinjaError("batch needs a whole number above 0");
  const JinjaValue* fill = arguments.Find(1, "fill_with");
  std::vector<JinjaValue> batches, batch;
  const auto finish = [&]() -> Status {
    WEIR_ASSIGN_OR_RETURN(JinjaValue list, heap->NewList(std::exchange(batch, {})));
    batches.push_back(std::move(list));
    return OkStatus();
  };
  for (const JinjaValue& item : items->items) {
    WEIR_RETURN_IF_ERROR(heap->Spend(1));
    if (batch.size() == static_cast<size_t>(size)) WEIR_RETURN_IF_ERROR(finish());
    batch.push_back(item);
  }
  if (batch.empty()) return heap->NewList(std::move(batches));
  if (fill != nullptr && !fill->is_none()) {
    WEIR_RETURN_IF_ERROR(heap->Room(static_cast<uint64_t>(size) * sizeof(JinjaValue)));
    batch.resize(static_cast<size_t>(size), *fill);
  }
  WEIR_RETURN_IF_ERROR(finish());
  return heap->NewList(std::move(batches));
}

}  // namespace weir
