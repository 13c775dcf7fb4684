#include "engine/tokenizer/jinja_filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_format.h"
#include "engine/tokenizer/jinja_methods.h"
#include "engine/tokenizer/jinja_operators.h"
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
  const JinjaText* characters = arguments.Text(0, "chars");
  const std::string_view wanted = characters == nullptr ? std::string_view() : characters->str();
  WEIR_ASSIGN_OR_RETURN(JinjaText stripped, StripText(text, wanted, TextSide::kBoth, heap));
  return heap->NewString(std::move(stripped));
}

// indent(width, first, blank): lines but the first, and but empty ones, unless they are wanted.
Result<JinjaValue> Indent(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const JinjaText text, TextOf(value, heap));
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
  WEIR_ASSIGN_OR_RETURN(const std::vector<JinjaText> lines, SplitTextLines(whole, heap));
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
  const JinjaText* attribute = arguments.Text(1, "attribute");
  JinjaText separator;
  if (const JinjaValue* given = arguments.Find(0, "d")) {
    WEIR_ASSIGN_OR_RETURN(separator, JinjaToText(*given, heap));
  }
  std::vector<JinjaText> parts;
  uint64_t bytes = 0;
  for (const JinjaValue& item : items->items) {
    WEIR_RETURN_IF_ERROR(heap->Spend(1));
    JinjaValue part = item;
    if (attribute != nullptr) {
      WEIR_ASSIGN_OR_RETURN(part, JinjaAttribute(std::move(part), attribute->str(), heap));
    }
    WEIR_ASSIGN_OR_RETURN(JinjaText text, JinjaToText(part, heap));
    bytes += sizeof(JinjaText) + text.footprint();
    WEIR_RETURN_IF_ERROR(heap->Room(bytes));
    parts.push_back(std::move(text));
  }
  WEIR_ASSIGN_OR_RETURN(JinjaText joined, JoinText(parts, separator, heap));
  return heap->NewString(std::move(joined));
}

// tojson(ensure_ascii, indent) in the order of transformers' own filter.
Result<JinjaValue> ToJson(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  const JinjaValue* ascii = arguments.Find(0, "ensure_ascii");
  int64_t indent = -1;
  const JinjaValue* given = arguments.Find(1, "indent");
  if (given != nullptr && !given->is_none() && (!given->AsInt(&indent) || indent < 0 || indent > 64)) {
    return JinjaError("tojson needs an indent of 0 to 64");
  }
  for (const std::string_view name : {"separators", "sort_keys"}) {
    const JinjaValue* other = FindEntry(arguments.named, name);
    if (other != nullptr && other->Truthy())
      return JinjaError(fmt::format("tojson does not know \"{}\"", name));
  }
  const bool wants_ascii = ascii != nullptr && ascii->Truthy();
  WEIR_ASSIGN_OR_RETURN(JinjaText json, JinjaToJson(value, static_cast<int>(indent), wants_ascii, heap));
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
  if (value.text() != nullptr) return CallJinjaMethod(value, "replace", arguments, heap);
  WEIR_ASSIGN_OR_RETURN(JinjaText text, TextOf(value, heap));
  WEIR_ASSIGN_OR_RETURN(const JinjaValue as_text, heap->NewString(std::move(text)));
  return CallJinjaMethod(as_text, "replace", arguments, heap);
}

template <bool kFirst>
Result<JinjaValue> Edge(const JinjaValue& value, const JinjaArguments&, JinjaHeap* heap) {
  if (value.dict() == nullptr)
    return JinjaSubscript(value, JinjaValue::Of(int64_t{kFirst ? 0 : -1}), "an item", heap);
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

Result<JinjaValue> Float(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap);

Result<JinjaValue> Int(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  int64_t integer = 0;
  if (value.AsInt(&integer)) return JinjaValue::Of(integer);
  if (const double* number = value.Get<double>(); number != nullptr && std::fabs(*number) < 9.2e18) {
    return JinjaValue::Of(static_cast<int64_t>(*number));
  }
  if (const JinjaText* text = value.text()) {
    WEIR_ASSIGN_OR_RETURN(const JinjaText stripped, StripText(*text, "", TextSide::kBoth, heap));
    const std::string& trimmed = stripped.str();
    const auto [end, error] = std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), integer);
    if (error == std::errc() && end == trimmed.data() + trimmed.size()) return JinjaValue::Of(integer);
  }
  // A text that is a number with a fraction loses it.
  if (value.text() != nullptr) {
    WEIR_ASSIGN_OR_RETURN(const JinjaValue number, Float(value, {}, heap));
    const double whole = *number.Get<double>();
    if (whole != 0 && std::fabs(whole) < 9.2e18) return JinjaValue::Of(static_cast<int64_t>(whole));
  }
  const JinjaValue* fallback = arguments.Find(0, "default");
  return fallback == nullptr ? JinjaValue::Of(int64_t{0}) : *fallback;
}

Result<JinjaValue> Float(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  double number = 0;
  if (value.AsDouble(&number)) return JinjaValue::Of(number);
  if (const JinjaText* text = value.text()) {
    WEIR_ASSIGN_OR_RETURN(const JinjaText stripped, StripText(*text, "", TextSide::kBoth, heap));
    const std::string& trimmed = stripped.str();
    const auto [end, error] = std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), number);
    if (error == std::errc() && end == trimmed.data() + trimmed.size()) return JinjaValue::Of(number);
  }
  const JinjaValue* fallback = arguments.Find(0, "default");
  return fallback == nullptr ? JinjaValue::Of(0.0) : *fallback;
}

Result<JinjaValue> Abs(const JinjaValue& value, const JinjaArguments&, JinjaHeap*) {
  double number = 0;
  if (!value.AsDouble(&number)) return JinjaError(fmt::format("abs does not work on {}", value.kind_name()));
  if (number < 0) return JinjaNegate(value);
  return value;
}

// selectattr, rejectattr, select, reject: keeps the items whose test (truth when none is named) is `kWanted`.
template <bool kByAttribute, bool kWanted>
Result<JinjaValue> Select(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> items, JinjaItems(value, heap));
  constexpr size_t kTestIndex = kByAttribute ? 1 : 0;
  const JinjaText* attribute = kByAttribute ? arguments.Text(0, "attribute") : nullptr;
  if (kByAttribute && attribute == nullptr)
    return JinjaError("selectattr and rejectattr need an attribute's name");
  const JinjaText* test = arguments.Text(kTestIndex, "test");
  JinjaArguments test_arguments;
  if (arguments.positional.size() > kTestIndex + 1) {
    test_arguments.positional.assign(arguments.positional.begin() + kTestIndex + 1,
                                     arguments.positional.end());
  }
  std::vector<JinjaValue> kept;
  for (const JinjaValue& item : items->items) {
    WEIR_RETURN_IF_ERROR(heap->Spend(1));
    JinjaValue tested = item;
    if (kByAttribute) {
      WEIR_ASSIGN_OR_RETURN(tested, JinjaAttribute(std::move(tested), attribute->str(), heap));
    }
    bool passes = tested.Truthy();
    if (test != nullptr) {
      WEIR_ASSIGN_OR_RETURN(passes, ApplyJinjaTest(test->str(), tested, test_arguments, heap));
    }
    if (passes == kWanted) kept.push_back(item);
  }
  return heap->NewList(std::move(kept));
}

// map(attribute='role') and map('trim').
Result<JinjaValue> Map(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> items, JinjaItems(value, heap));
  const JinjaText* filter = arguments.positional.empty() ? nullptr : arguments.positional[0].text();
  const JinjaValue* attribute = FindEntry(arguments.named, "attribute");
  if (filter == nullptr && (attribute == nullptr || attribute->text() == nullptr)) {
    return JinjaError("map needs a filter's name or attribute=");
  }
  // A filter that maps would nest without bound.
  if (filter != nullptr && filter->str() == "map") return JinjaError("map cannot apply map");
  JinjaArguments rest;
  if (filter != nullptr) rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
  std::vector<JinjaValue> out;
  for (const JinjaValue& item : items->items) {
    WEIR_RETURN_IF_ERROR(heap->Spend(1));
    WEIR_ASSIGN_OR_RETURN(JinjaValue mapped, filter != nullptr
                                                 ? ApplyJinjaFilter(filter->str(), item, rest, heap)
                                                 : JinjaAttribute(item, attribute->text()->str(), heap));
    out.push_back(std::move(mapped));
  }
  return heap->NewList(std::move(out));
}

Result<JinjaValue> Unchanged(const JinjaValue& value, const JinjaArguments&, JinjaHeap*) { return value; }

struct Row {
  std::string_view name;
  JinjaFilter filter;
};

constexpr Row kRows[] = {
    {"abs", Abs},
    {"batch", JinjaBatch},
    {"capitalize", Case<TextCase::kCapitalize>},
    {"count", Length},
    {"d", Default},
    {"default", Default},
    {"dictsort", JinjaDictSort},
    {"first", Edge<true>},
    {"float", Float},
    {"indent", Indent},
    {"int", Int},
    {"items", Items},
    {"join", Join},
    {"last", Edge<false>},
    {"length", Length},
    {"list", List},
    {"lower", Case<TextCase::kLower>},
    {"map", Map},
    {"max", JinjaMax},
    {"min", JinjaMin},
    {"reject", Select<false, false>},
    {"rejectattr", Select<true, false>},
    {"replace", Replace},
    {"reverse", Reverse},
    {"safe", Unchanged},
    {"select", Select<false, true>},
    {"selectattr", Select<true, true>},
    {"sort", JinjaSort},
    {"string", String},
    {"sum", JinjaSum},
    {"title", Case<TextCase::kWordTitle>},
    {"tojson", ToJson},
    {"trim", Trim},
    {"unique", JinjaUnique},
    {"upper", Case<TextCase::kUpper>},
};

}  // namespace

Result<JinjaValue> ApplyJinjaFilter(std::string_view name, const JinjaValue& value,
                                    const JinjaArguments& arguments, JinjaHeap* heap) {
  std::string known;
  for (const Row& row : kRows) {
    if (row.name == name) return row.filter(value, arguments, heap);
    known += known.empty() ? "" : ", ";
    known += row.name;
  }
  return JinjaError(fmt::format("the filter \"{}\" is unknown; known: {}", QuoteForMessage(name), known));
}

}  // namespace weir
