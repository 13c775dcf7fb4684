#include "engine/tokenizer/jinja_methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_operators.h"
#include "engine/tokenizer/jinja_strings.h"

namespace weir {
namespace {

Status UnknownAttribute(const JinjaValue& object, std::string_view name) {
  return JinjaError(fmt::format("unknown attribute \"{}\" of {}", QuoteForMessage(name), object.kind_name()));
}

Status WrongArguments(std::string_view method, std::string_view expected) {
  return JinjaError(fmt::format("{}() needs {}", method, expected));
}

// The bytes of text[start:end], where the arguments from `index` on say so, and how many characters come before them.
struct Window {
  bool exists = true;
  size_t begin = 0;
  size_t end = 0;
  int64_t skipped = 0;
};

Result<Window> MakeWindow(const JinjaText& text, std::string_view method, const JinjaArguments& arguments,
                          size_t index, JinjaHeap* heap) {
  Window window;
  window.end = text.size();
  const JinjaValue* given[] = {arguments.Find(index, ""), arguments.Find(index + 1, "")};
  if (given[0] == nullptr) return window;
  WEIR_RETURN_IF_ERROR(heap->SpendOnCharacters(text.size()));
  WEIR_RETURN_IF_ERROR(heap->Room(text.size() * sizeof(size_t)));
  const std::vector<size_t> offsets = CharacterOffsets(text.str());
  const auto size = static_cast<int64_t>(offsets.size()) - 1;
  int64_t bounds[] = {0, size};
  for (size_t i = 0; i < 2; ++i) {
    if (given[i] == nullptr || given[i]->is_none()) continue;
    if (!given[i]->AsInt(&bounds[i])) return WrongArguments(method, "integers as start and end");
    if (bounds[i] < 0) bounds[i] = bounds[i] < -size ? 0 : bounds[i] + size;
  }
  bounds[1] = std::min(bounds[1], size);
  window.exists = bounds[0] <= bounds[1];
  if (!window.exists) return window;
  window.begin = offsets[static_cast<size_t>(bounds[0])];
  window.end = offsets[static_cast<size_t>(bounds[1])];
  window.skipped = bounds[0];
  return window;
}

// startswith and endswith take one text or a tuple of them.
Result<JinjaValue> HasAffix(const JinjaText& text, std::string_view method, const JinjaArguments& arguments,
                            JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const Window window, MakeWindow(text, method, arguments, 1, heap));
  const std::string_view part = std::string_view(text.str()).substr(window.begin, window.end - window.begin);
  const auto matches = [&](const JinjaText& affix) {
    return window.exists &&
           (method == "startswith" ? part.starts_with(affix.str()) : part.ends_with(affix.str()));
  };
  const JinjaValue* argument = arguments.Find(0, "");
  if (argument != nullptr && argument->text() != nullptr) return JinjaValue::Of(matches(*argument->text()));
  if (argument != nullptr && argument->is_tuple()) {
    bool found = false;
    for (const JinjaValue& item : *argument->list()) {
      if (item.text() == nullptr) return WrongArguments(method, "a text or a tuple of texts");
      found = found || matches(*item.text());
    }
    return JinjaValue::Of(found);
  }
  return WrongArguments(method, "a text or a tuple of texts");
}

// find, rfind, index, rindex and count.
Result<JinjaValue> Search(const JinjaText& text, std::string_view method, const JinjaArguments& arguments,
                          JinjaHeap* heap) {
  const JinjaText* wanted = arguments.Text(0, "");
  if (wanted == nullptr) return WrongArguments(method, "a text");
  WEIR_ASSIGN_OR_RETURN(const Window window, MakeWindow(text, method, arguments, 1, heap));
  const std::string_view part = std::string_view(text.str()).substr(window.begin, window.end - window.begin);
  const std::string& needle = wanted->str();
  if (method == "count") {
    if (needle.empty()) return JinjaValue::Of(window.exists ? CountCharacters(part) + 1 : int64_t{0});
    int64_t count = 0;
    for (size_t at = part.find(needle); window.exists && at != std::string_view::npos;
         at = part.find(needle, at + needle.size()))
      ++count;
    return JinjaValue::Of(count);
  }
  const bool from_right = method.starts_with('r');
  const size_t at = from_right ? part.rfind(needle) : part.find(needle);
  if (!window.exists || at == std::string_view::npos) {
    if (method.ends_with("find")) return JinjaValue::Of(int64_t{-1});
    return JinjaError(fmt::format("{}() does not find the text", method));
  }
  return JinjaValue::Of(window.skipped + CountCharacters(part.substr(0, at)));
}

// partition and rpartition.
Result<JinjaValue> Partition(const JinjaText& text, std::string_view method, const JinjaArguments& arguments,
                             JinjaHeap* heap) {
  const JinjaText* separator = arguments.Text(0, "");
  if (separator == nullptr || separator->empty())
    return WrongArguments(method, "a separator that is not empty");
  const bool from_right = method == "rpartition";
  const size_t at = from_right ? text.str().rfind(separator->str()) : text.str().find(separator->str());
  JinjaText parts[3];
  if (at == std::string::npos) {
    parts[from_right ? 2 : 0] = text;
  } else {
    parts[0] = text.Substr(0, at);
    parts[1] = *separator;
    parts[2] = text.Substr(at + separator->size());
  }
  std::vector<JinjaValue> items;
  for (JinjaText& part : parts) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue item, heap->NewString(std::move(part)));
    items.push_back(std::move(item));
  }
  return heap->NewList(std::move(items), true);
}

Result<JinjaValue> ZeroFill(const JinjaText& text, const JinjaArguments& arguments, JinjaHeap* heap) {
  int64_t width = 0;
  const JinjaValue* given = arguments.Find(0, "");
  if (given == nullptr || !given->AsInt(&width) || width > (int64_t{1} << 20))
    return WrongArguments("zfill", "a width of at most 2^20");
  const auto missing = static_cast<size_t>(std::max<int64_t>(width - CountCharacters(text.str()), 0));
  WEIR_RETURN_IF_ERROR(heap->Room(text.footprint() + missing));
  const bool has_sign = text.str().starts_with('-') || text.str().starts_with('+');
  JinjaText out = text.Substr(0, has_sign ? 1 : 0);
  out.Append(std::string(missing, '0'), false);
  out.Append(text.Substr(has_sign ? 1 : 0));
  return heap->NewString(std::move(out));
}

Result<JinjaValue> TextList(std::vector<JinjaText> parts, JinjaHeap* heap) {
  std::vector<JinjaValue> items;
  for (JinjaText& part : parts) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue item, heap->NewString(std::move(part)));
    items.push_back(std::move(item));
  }
  return heap->NewList(std::move(items));
}

// split and rsplit.
Result<JinjaValue> Split(const JinjaText& text, std::string_view method, const JinjaArguments& arguments,
                         JinjaHeap* heap) {
  std::string_view separator;
  const JinjaValue* given = arguments.Find(0, "sep");
  if (given != nullptr && !given->is_none()) {
    if (given->text() == nullptr || given->text()->empty())
      return WrongArguments(method, "a separator that is not empty");
    separator = given->text()->str();
  }
  int64_t count = -1;
  const JinjaValue* limit = arguments.Find(1, "maxsplit");
  if (limit != nullptr && !limit->AsInt(&count)) return WrongArguments(method, "an integer limit");
  WEIR_ASSIGN_OR_RETURN(std::vector<JinjaText> parts, method == "split"
                                                          ? SplitText(text, separator, count, heap)
                                                          : SplitTextFromRight(text, separator, count, heap));
  return TextList(std::move(parts), heap);
}

Result<JinjaValue> SplitLines(const JinjaText& text, const JinjaArguments& arguments, JinjaHeap* heap) {
  const JinjaValue* keep = arguments.Find(0, "keepends");
  int64_t kept = 0;
  if (keep != nullptr && !keep->AsInt(&kept)) return WrongArguments("splitlines", "a boolean");
  WEIR_ASSIGN_OR_RETURN(std::vector<JinjaText> lines, SplitTextLines(text, kept != 0, heap));
  return TextList(std::move(lines), heap);
}

Result<JinjaValue> Join(const JinjaText& separator, const JinjaArguments& arguments, JinjaHeap* heap) {
  const JinjaValue* given = arguments.Find(0, "");
  if (given == nullptr) return WrongArguments("join", "a list of texts");
  WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> items, JinjaItems(*given, heap));
  std::vector<JinjaText> parts;
  for (const JinjaValue& item : items->items) {
    if (item.text() == nullptr) return WrongArguments("join", "a list of texts");
    parts.push_back(*item.text());
  }
  WEIR_ASSIGN_OR_RETURN(JinjaText joined, JoinText(parts, separator, heap));
  return heap->NewString(std::move(joined));
}

// strip, lstrip and rstrip.
Result<JinjaValue> Strip(const JinjaText& text, std::string_view method, const JinjaArguments& arguments,
                         JinjaHeap* heap) {
  const TextSide side = method == "strip"    ? TextSide::kBoth
                        : method == "lstrip" ? TextSide::kLeft
                                             : TextSide::kRight;
  const JinjaValue* given = arguments.Find(0, "");
  std::optional<std::string_view> characters;
  if (given != nullptr && !given->is_none()) {
    if (given->text() == nullptr) return WrongArguments(method, "a text of characters");
    characters = given->text()->str();
  }
  WEIR_ASSIGN_OR_RETURN(JinjaText stripped, StripText(text, characters, side, heap));
  return heap->NewString(std::move(stripped));
}

struct Method {
  std::string_view name;
  std::string_view parameters;
};

constexpr Method kTextMethods[] = {{"strip", "chars /"},
                                   {"lstrip", "chars /"},
                                   {"rstrip", "chars /"},
                                   {"startswith", "_ _ _ /"},
                                   {"endswith", "_ _ _ /"},
                                   {"split", "sep maxsplit"},
                                   {"rsplit", "sep maxsplit"},
                                   {"splitlines", "keepends"},
                                   {"join", "_ /"},
                                   {"upper", ""},
                                   {"lower", ""},
                                   {"title", ""},
                                   {"capitalize", ""},
                                   {"swapcase", ""},
                                   {"replace", "_ _ _ /"},
                                   {"find", "_ _ _ /"},
                                   {"rfind", "_ _ _ /"},
                                   {"index", "_ _ _ /"},
                                   {"rindex", "_ _ _ /"},
                                   {"count", "_ _ _ /"},
                                   {"removeprefix", "_ /"},
                                   {"removesuffix", "_ /"},
                                   {"partition", "_ /"},
                                   {"rpartition", "_ /"},
                                   {"zfill", "_ /"},
                                   {"isdigit", ""},
                                   {"isdecimal", ""},
                                   {"isalpha", ""},
                                   {"isalnum", ""},
                                   {"isspace", ""},
                                   {"isupper", ""},
                                   {"islower", ""}};
constexpr Method kDictMethods[] = {{"get", "_ _ /"}, {"items", ""}, {"keys", ""}, {"values", ""}};

template <size_t kSize>
Status CheckMethod(const Method (&methods)[kSize], const JinjaValue& object, std::string_view name,
                   const JinjaArguments& arguments) {
  for (const Method& method : methods) {
    if (method.name == name) return CheckJinjaArguments("method", name, method.parameters, arguments);
  }
  return UnknownAttribute(object, name);
}

Result<JinjaValue> CallTextMethod(const JinjaValue& object, std::string_view name,
                                  const JinjaArguments& arguments, JinjaHeap* heap) {
  const JinjaText& text = *object.text();
  WEIR_RETURN_IF_ERROR(heap->SpendOnBytes(text.size()));
  WEIR_RETURN_IF_ERROR(CheckMethod(kTextMethods, object, name, arguments));
  if (name == "strip" || name == "lstrip" || name == "rstrip") return Strip(text, name, arguments, heap);
  if (name == "startswith" || name == "endswith") return HasAffix(text, name, arguments, heap);
  if (name == "split" || name == "rsplit") return Split(text, name, arguments, heap);
  if (name == "splitlines") return SplitLines(text, arguments, heap);
  if (name == "join") return Join(text, arguments, heap);
  if (name == "partition" || name == "rpartition") return Partition(text, name, arguments, heap);
  if (name == "zfill") return ZeroFill(text, arguments, heap);
  if (name.ends_with("find") || name.ends_with("index") || name == "count")
    return Search(text, name, arguments, heap);
  constexpr std::pair<std::string_view, TextKind> kKinds[] = {{"isdigit", TextKind::kDigit},
                                                              {"isdecimal", TextKind::kDecimal},
                                                              {"isalpha", TextKind::kAlpha},
                                                              {"isalnum", TextKind::kAlphanumeric},
                                                              {"isspace", TextKind::kSpace}};
  for (const auto& [method, kind] : kKinds) {
    if (name != method) continue;
    WEIR_RETURN_IF_ERROR(heap->SpendOnCharacters(text.size()));
    return JinjaValue::Of(IsOfKind(text.str(), kind));
  }
  if (name == "isupper" || name == "islower") {
    WEIR_RETURN_IF_ERROR(heap->SpendOnCharacters(text.size()));
    return JinjaValue::Of(IsInCase(text.str(), name == "isupper"));
  }
  constexpr std::pair<std::string_view, TextCase> kCases[] = {{"upper", TextCase::kUpper},
                                                              {"lower", TextCase::kLower},
                                                              {"title", TextCase::kTitle},
                                                              {"capitalize", TextCase::kCapitalize},
                                                              {"swapcase", TextCase::kSwap}};
  for (const auto& [method, wanted] : kCases) {
    if (name != method) continue;
    WEIR_ASSIGN_OR_RETURN(JinjaText changed, ChangeCase(text, wanted, heap));
    return heap->NewString(std::move(changed));
  }
  if (name == "replace") {
    const JinjaText* from = arguments.Text(0, "old");
    const JinjaText* to = arguments.Text(1, "new");
    int64_t count = -1;
    const JinjaValue* limit = arguments.Find(2, "count");
    if (from == nullptr || to == nullptr || (limit != nullptr && !limit->AsInt(&count))) {
      return WrongArguments(name, "two texts and perhaps a count");
    }
    WEIR_ASSIGN_OR_RETURN(JinjaText replaced, ReplaceText(text, from->str(), *to, count, heap));
    return heap->NewString(std::move(replaced));
  }
  const JinjaText* affix = arguments.Text(0, "");
  if (affix == nullptr) return WrongArguments(name, "a text");
  const bool prefix = name == "removeprefix" && text.str().starts_with(affix->str());
  const bool suffix = name == "removesuffix" && text.str().ends_with(affix->str());
  if (!prefix && !suffix) return object;
  return heap->NewString(text.Substr(prefix ? affix->size() : 0, text.size() - affix->size()));
}

Result<JinjaValue> CallDictMethod(const JinjaValue& object, std::string_view name,
                                  const JinjaArguments& arguments, JinjaHeap* heap) {
  const JinjaEntries& entries = object.dict()->entries;
  WEIR_RETURN_IF_ERROR(CheckMethod(kDictMethods, object, name, arguments));
  if (name == "get") {
    if (arguments.positional.empty()) return WrongArguments(name, "a key");
    const JinjaText* key = arguments.Text(0, "");
    const JinjaValue* found = key == nullptr ? nullptr : FindEntry(entries, key->str());
    if (found != nullptr) return *found;
    const JinjaValue* fallback = arguments.Find(1, "default");
    return fallback == nullptr ? JinjaValue::MakeNone() : *fallback;
  }
  std::vector<JinjaValue> out;
  for (const auto& [key, value] : entries) {
    WEIR_RETURN_IF_ERROR(heap->Spend(1));
    if (name == "values") {
      out.push_back(value);
      continue;
    }
    WEIR_ASSIGN_OR_RETURN(JinjaValue text, heap->NewData(key));
    if (name == "items") {
      WEIR_ASSIGN_OR_RETURN(text, heap->NewList({std::move(text), value}, true));
    }
    out.push_back(std::move(text));
  }
  return heap->NewList(std::move(out));
}

// Python's methods, those that change the value in Jinja's sandbox apart.
constexpr std::string_view kPythonTextMethods =
    " capitalize casefold center count encode endswith expandtabs find format format_map index isalnum "
    "isalpha isascii isdecimal "
    "isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip "
    "maketrans partition "
    "removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines "
    "startswith strip swapcase title "
    "translate upper zfill ";
constexpr std::string_view kPythonDictMethods = " copy fromkeys get items keys values ";
constexpr std::string_view kPythonDictChanges = " clear pop popitem setdefault update ";
constexpr std::string_view kPythonListMethods = " copy count index ";
constexpr std::string_view kPythonListChanges = " append clear extend insert pop remove reverse sort ";
constexpr std::string_view kPythonNumberMethods =
    " as_integer_ratio bit_count bit_length conjugate denominator from_bytes fromhex hex imag is_integer "
    "numerator real to_bytes ";

}  // namespace

Result<JinjaValue> JinjaMember(const JinjaValue& object, std::string_view name, std::string_view label) {
  const auto is_in = [&](std::string_view names) {
    return name.find(' ') == std::string_view::npos &&
           names.find(fmt::format(" {} ", name)) != std::string_view::npos;
  };
  if (object.dict() != nullptr && is_in(kPythonDictChanges)) return UnknownAttribute(object, name);
  if (object.list() != nullptr && !object.is_tuple() && is_in(kPythonListChanges))
    return UnknownAttribute(object, name);
  if (object.is_number() && is_in(kPythonNumberMethods)) return UnknownAttribute(object, name);
  if (const auto* found = object.Get<std::shared_ptr<const JinjaList>>();
      found != nullptr && (*found)->is_group) {
    if (name == "grouper") return (*found)->items[0];
    if (name == "list") return (*found)->items[1];
  }
  if ((object.text() != nullptr && is_in(kPythonTextMethods)) ||
      (object.dict() != nullptr && is_in(kPythonDictMethods)) ||
      (object.list() != nullptr && is_in(kPythonListMethods))) {
    return JinjaValue::Of(JinjaMethod());
  }
  return JinjaValue::MakeUndefined(label);
}

Result<JinjaValue> CallJinjaMethod(const JinjaValue& object, std::string_view name,
                                   const JinjaArguments& arguments, JinjaHeap* heap) {
  if (object.text() != nullptr) return CallTextMethod(object, name, arguments, heap);
  if (object.dict() != nullptr) return CallDictMethod(object, name, arguments, heap);
  if (object.is_undefined()) {
    return JinjaError(fmt::format("\"{}\" is undefined", object.Get<JinjaValue::Undefined>()->name));
  }
  return UnknownAttribute(object, name);
}

}  // namespace weir
