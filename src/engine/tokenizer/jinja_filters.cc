#include "engine/tokenizer/jinja_filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_format.h"
#include "engine/tokenizer/jinja_methods.h"
#include "engine/tokenizer/jinja_number_filters.h"
#include "engine/tokenizer/jinja_operators.h"
#include "engine/tokenizer/jinja_percent.h"
#include "engine/tokenizer/jinja_predicates.h"
#include "engine/tokenizer/jinja_sort_filters.h"
#include "engine/tokenizer/jinja_strings.h"

namespace weir {
namespace {

Result<JinjaText> TextOf(const JinjaValue& value, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(JinjaText text, JinjaToText(value, heap));
  WEIR_RETURN_IF_ERROR(heap->SpendOnBytes(text.size()));
  return text;
}

template <TextCase kWanted>
Result<JinjaValue> Case(const JinjaValue& value, const JinjaArguments&, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const JinjaText text, TextOf(value, heap));
  WEIR_ASSIGN_OR_RETURN(JinjaText changed, ChangeCase(text, kWanted, heap));
  return heap->NewString(std::move(changed));
}

Result<JinjaValue> Trim(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const JinjaText text, TextOf(value, heap));
  const JinjaValue* given = arguments.Find(0, "chars");
  std::optional<std::string_view> wanted;
  if (given != nullptr && !given->is_none()) {
    if (given->text() == nullptr) return JinjaError("trim needs a text of characters");
    wanted = given->text()->str();
  }
  WEIR_ASSIGN_OR_RETURN(JinjaText stripped, StripText(text, wanted, TextSide::kBoth, heap));
  return heap->NewString(std::move(stripped));
}

// indent(width, first, blank): lines but the first, and but empty ones, unless they are wanted.
Result<JinjaValue> Indent(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  if (value.text() == nullptr)
    return JinjaError(fmt::format("indent does not work on {}", value.kind_name()));
  const JinjaText& text = *value.text();
  WEIR_RETURN_IF_ERROR(heap->SpendOnBytes(text.size()));
  JinjaText margin(std::string(4, ' '), true);
  if (const JinjaValue* width = arguments.Find(0, "width")) {
    int64_t spaces = 0;
    if (width->text() != nullptr) {
      margin = *width->text();
    } else if (width->AsInt(&spaces) && spaces <= 1024) {
      margin = JinjaText(std::string(static_cast<size_t>(std::max<int64_t>(spaces, 0)), ' '), true);
    } else {
      return JinjaError("indent needs a width up to 1024 or a text");
    }
  }
  const JinjaValue* first = arguments.Find(1, "first");
  const JinjaValue* blank = arguments.Find(2, "blank");
  JinjaText out;
  if (first != nullptr && first->Truthy()) out.Append(margin);
  // A line break at the end is the begin of a last, empty line.
  JinjaText whole = text;
  whole.Append("\n", true);
  WEIR_ASSIGN_OR_RETURN(const std::vector<JinjaText> lines, SplitTextLines(whole, false, heap));
  for (size_t i = 0; i < lines.size(); ++i) {
    WEIR_RETURN_IF_ERROR(heap->Room(out.footprint() + margin.footprint() + lines[i].footprint()));
    if (i > 0) out.Append("\n", true);
    if (i > 0 && (!lines[i].empty() || (blank != nullptr && blank->Truthy()))) out.Append(margin);
    out.Append(lines[i]);
  }
  return heap->NewString(std::move(out));
}

Result<JinjaValue> Length(const JinjaValue& value, const JinjaArguments&, JinjaHeap* heap) {
  if (value.text() != nullptr) {
    WEIR_RETURN_IF_ERROR(heap->SpendOnBytes(value.text()->size()));
    return JinjaValue::Of(CountCharacters(value.text()->str()));
  }
  if (value.list() != nullptr) return JinjaValue::Of(static_cast<int64_t>(value.list()->size()));
  if (value.dict() != nullptr) return JinjaValue::Of(static_cast<int64_t>(value.dict()->entries.size()));
  if (value.is_undefined()) return JinjaValue::Of(int64_t{0});
  return JinjaError(fmt::format("{} has no length", value.kind_name()));
}

Result<JinjaValue> Join(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> items, JinjaItems(value, heap));
  const JinjaValue* attribute = arguments.Find(1, "attribute");
  JinjaText separator;
  if (const JinjaValue* given = arguments.Find(0, "d")) {
    WEIR_ASSIGN_OR_RETURN(separator, JinjaToText(*given, heap));
  }
  std::vector<JinjaText> parts;
  uint64_t bytes = 0;
  for (const JinjaValue& item : items->items) {
    WEIR_RETURN_IF_ERROR(heap->Spend(1));
    JinjaValue part = item;
    if (attribute != nullptr && !attribute->is_none()) {
      WEIR_ASSIGN_OR_RETURN(part, JinjaAttribute(std::move(part), *attribute, nullptr, heap));
    }
    WEIR_ASSIGN_OR_RETURN(JinjaText text, JinjaToText(part, heap));
    bytes += sizeof(JinjaText) + text.footprint();
    WEIR_RETURN_IF_ERROR(heap->Room(bytes));
    parts.push_back(std::move(text));
  }
  WEIR_ASSIGN_OR_RETURN(JinjaText joined, JoinText(parts, separator, heap));
  return heap->NewString(std::move(joined));
}

// tojson(ensure_ascii, indent, separators, sort_keys) in the order of transformers' own filter.
Result<JinjaValue> ToJson(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  JinjaJsonStyle style;
  const auto is_given = [](const JinjaValue* one) { return one != nullptr && !one->is_none(); };
  const JinjaValue* indent = arguments.Find(1, "indent");
  if (is_given(indent)) {
    int64_t spaces = 0;
    if (indent->text() != nullptr && indent->text()->size() <= 64) {
      style.margin = *indent->text();
    } else if (indent->AsInt(&spaces) && spaces <= 64) {
      style.margin = JinjaText(std::string(static_cast<size_t>(std::max<int64_t>(spaces, 0)), ' '), true);
    } else {
      return JinjaError("tojson needs an indent of at most 64");
    }
    style.item = JinjaText(",", true);
  }
  const JinjaValue* separators = arguments.Find(2, "separators");
  if (is_given(separators)) {
    WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> pair, JinjaItems(*separators, heap));
    if (pair->items.size() != 2 || pair->items[0].text() == nullptr || pair->items[1].text() == nullptr)
      return JinjaError("tojson needs two texts as separators");
    style.item = *pair->items[0].text();
    style.key = *pair->items[1].text();
  }
  const auto is_set = [](const JinjaValue* one) { return one != nullptr && one->Truthy(); };
  style.ascii = is_set(arguments.Find(0, "ensure_ascii"));
  style.sort_keys = is_set(arguments.Find(3, "sort_keys"));
  WEIR_ASSIGN_OR_RETURN(JinjaText json, JinjaToJson(value, style, heap));
  return heap->NewString(std::move(json));
}

Result<JinjaValue> Default(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  const JinjaValue* for_falsy = arguments.Find(1, "boolean");
  const bool replaces =
      value.is_undefined() || (for_falsy != nullptr && for_falsy->Truthy() && !value.Truthy());
  if (!replaces) return value;
  const JinjaValue* fallback = arguments.Find(0, "default_value");
  if (fallback != nullptr) return *fallback;
  return heap->NewString(JinjaText());
}

Result<JinjaValue> Replace(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  JinjaArguments rest;
  for (const auto& [index, name] :
       {std::pair<size_t, std::string_view>{0, "old"}, {1, "new"}, {2, "count"}}) {
    const JinjaValue* given = arguments.Find(index, name);
    if (given != nullptr && !(index == 2 && given->is_none())) rest.positional.push_back(*given);
  }
  if (value.text() != nullptr) return CallJinjaMethod(value, "replace", rest, heap);
  WEIR_ASSIGN_OR_RETURN(JinjaText text, TextOf(value, heap));
  WEIR_ASSIGN_OR_RETURN(const JinjaValue as_text, heap->NewString(std::move(text)));
  return CallJinjaMethod(as_text, "replace", rest, heap);
}

template <bool kFirst>
Result<JinjaValue> Edge(const JinjaValue& value, const JinjaArguments&, JinjaHeap* heap) {
  if (kFirst && value.is_undefined()) return JinjaValue::MakeUndefined("an item");
  if (value.text() != nullptr || value.list() != nullptr)
    return JinjaSubscript(value, JinjaValue::Of(int64_t{kFirst ? 0 : -1}), "an item", heap);
  if (value.dict() == nullptr)
    return JinjaError(fmt::format("{} has no first and no last item", value.kind_name()));
  WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> keys, JinjaItems(value, heap));
  if (keys->items.empty()) return JinjaValue::MakeUndefined("an item");
  return kFirst ? keys->items.front() : keys->items.back();
}

Result<JinjaValue> List(const JinjaValue& value, const JinjaArguments&, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(std::shared_ptr<const JinjaList> items, JinjaItems(value, heap));
  if (items->is_tuple) return heap->NewList(items->items);
  return JinjaValue::Of(std::move(items));
}

Result<JinjaValue> Reverse(const JinjaValue& value, const JinjaArguments&, JinjaHeap* heap) {
  return JinjaSlice(value, std::nullopt, std::nullopt, -1, heap);
}

Result<JinjaValue> String(const JinjaValue& value, const JinjaArguments&, JinjaHeap* heap) {
  if (value.text() != nullptr) return value;
  WEIR_ASSIGN_OR_RETURN(JinjaText text, TextOf(value, heap));
  return heap->NewString(std::move(text));
}

Result<JinjaValue> Items(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  if (value.is_undefined()) return heap->NewList({});
  return CallJinjaMethod(value, "items", arguments, heap);
}

Result<JinjaValue> Format(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  if (!arguments.positional.empty() && !arguments.named.empty())
    return JinjaError("format takes arguments by place or by name, not both");
  WEIR_ASSIGN_OR_RETURN(const JinjaText text, TextOf(value, heap));
  WEIR_ASSIGN_OR_RETURN(const JinjaValue given, arguments.named.empty()
                                                    ? heap->NewList(arguments.positional, true)
                                                    : heap->NewDict(arguments.named));
  return JinjaPercent(text, given, heap);
}

// selectattr, rejectattr, select, reject: keeps the items whose test (truth when none is named) is `kWanted`.
template <bool kByAttribute, bool kWanted>
Result<JinjaValue> Select(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> items, JinjaItems(value, heap));
  constexpr size_t kTestIndex = kByAttribute ? 1 : 0;
  const std::vector<JinjaValue>& given = arguments.positional;
  if (kByAttribute && given.empty()) return JinjaError("selectattr and rejectattr need an attribute's name");
  const JinjaText* test = given.size() > kTestIndex ? given[kTestIndex].text() : nullptr;
  if (test == nullptr && (given.size() > kTestIndex || !arguments.named.empty()))
    return JinjaError("select and reject need a test's name before its arguments");
  JinjaArguments test_arguments;
  test_arguments.named = arguments.named;
  if (given.size() > kTestIndex + 1)
    test_arguments.positional.assign(given.begin() + kTestIndex + 1, given.end());
  std::vector<JinjaValue> kept;
  for (const JinjaValue& item : items->items) {
    WEIR_RETURN_IF_ERROR(heap->Spend(1));
    JinjaValue tested = item;
    if (kByAttribute) {
      WEIR_ASSIGN_OR_RETURN(tested, JinjaAttribute(std::move(tested), given[0], nullptr, heap));
    }
    bool passes = tested.Truthy();
    if (test != nullptr) {
      WEIR_ASSIGN_OR_RETURN(passes, ApplyJinjaTest(test->str(), tested, test_arguments, heap));
    }
    if (passes == kWanted) kept.push_back(item);
  }
  return heap->NewList(std::move(kept));
}

// map(attribute='role', default='user') and map('trim').
Result<JinjaValue> Map(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> items, JinjaItems(value, heap));
  const JinjaText* filter = arguments.positional.empty() ? nullptr : arguments.positional[0].text();
  const JinjaValue* attribute = FindEntry(arguments.named, "attribute");
  const JinjaValue* fallback = FindEntry(arguments.named, "default");
  if (filter == nullptr) {
    if (attribute == nullptr || !arguments.positional.empty())
      return JinjaError("map needs a filter's name or attribute=");
    WEIR_RETURN_IF_ERROR(CheckJinjaArguments("filter", "map", "attribute default", arguments));
  }
  // A filter that maps would nest without bound.
  if (filter != nullptr && filter->str() == "map") return JinjaError("map cannot apply map");
  JinjaArguments rest;
  if (filter != nullptr) {
    rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
    rest.named = arguments.named;
  }
  std::vector<JinjaValue> out;
  for (const JinjaValue& item : items->items) {
    WEIR_RETURN_IF_ERROR(heap->Spend(1));
    WEIR_ASSIGN_OR_RETURN(JinjaValue mapped, filter != nullptr
                                                 ? ApplyJinjaFilter(filter->str(), item, rest, heap)
                                                 : JinjaAttribute(item, *attribute, fallback, heap));
    out.push_back(std::move(mapped));
  }
  return heap->NewList(std::move(out));
}

Result<JinjaValue> Unchanged(const JinjaValue& value, const JinjaArguments&, JinjaHeap*) { return value; }

struct Row {
  std::string_view name;
  std::string_view parameters;
  JinjaFilter filter;
};

constexpr Row kRows[] = {
    {"abs", "", JinjaAbs},
    {"batch", "linecount fill_with", JinjaBatch},
    {"capitalize", "", Case<TextCase::kCapitalize>},
    {"count", "", Length},
    {"d", "default_value boolean", Default},
    {"default", "default_value boolean", Default},
    {"dictsort", "case_sensitive by reverse", JinjaDictSort},
    {"first", "", Edge<true>},
    {"float", "default", JinjaFloat},
    {"format", "*", Format},
    {"groupby", "attribute default case_sensitive", JinjaGroupBy},
    {"indent", "width first blank", Indent},
    {"int", "default base", JinjaInt},
    {"items", "", Items},
    {"join", "d attribute", Join},
    {"last", "", Edge<false>},
    {"length", "", Length},
    {"list", "", List},
    {"lower", "", Case<TextCase::kLower>},
    {"map", "*", Map},
    {"max", "case_sensitive attribute", JinjaMax},
    {"min", "case_sensitive attribute", JinjaMin},
    {"reject", "*", Select<false, false>},
    {"rejectattr", "*", Select<true, false>},
    {"replace", "old new count", Replace},
    {"reverse", "", Reverse},
    {"round", "precision method", JinjaRound},
    {"safe", "", Unchanged},
    {"select", "*", Select<false, true>},
    {"selectattr", "*", Select<true, true>},
    {"sort", "reverse case_sensitive attribute", JinjaSort},
    {"string", "", String},
    {"sum", "attribute start", JinjaSum},
    {"title", "", Case<TextCase::kWordTitle>},
    {"tojson", "ensure_ascii indent separators sort_keys", ToJson},
    {"trim", "chars", Trim},
    {"unique", "case_sensitive attribute", JinjaUnique},
    {"upper", "", Case<TextCase::kUpper>},
};

}  // namespace

bool IsJinjaFilter(std::string_view name) {
  return std::any_of(std::begin(kRows), std::end(kRows), [&](const Row& row) { return row.name == name; });
}

Result<JinjaValue> ApplyJinjaFilter(std::string_view name, const JinjaValue& value,
                                    const JinjaArguments& arguments, JinjaHeap* heap) {
  std::string known;
  for (const Row& row : kRows) {
    if (row.name == name) {
      WEIR_RETURN_IF_ERROR(CheckJinjaArguments("filter", name, row.parameters, arguments));
      return row.filter(value, arguments, heap);
    }
    known += known.empty() ? "" : ", ";
    known += row.name;
  }
  return JinjaError(fmt::format("the filter \"{}\" is unknown; known: {}", QuoteForMessage(name), known));
}

}  // namespace weir
