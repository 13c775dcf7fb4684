#include "engine/tokenizer/jinja_methods.h"

#include <fmt/format.h>

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

// startswith and endswith take one text or a list of them.
Result<JinjaValue> HasAffix(const JinjaText& text, std::string_view method, const JinjaArguments& arguments) {
  const bool at_start = method == "startswith";
  const auto matches = [&](const JinjaText& affix) {
    return at_start ? text.str().starts_with(affix.str()) : text.str().ends_with(affix.str());
  };
  const JinjaValue* argument = arguments.Find(0, "prefix");
  if (argument != nullptr && argument->text() != nullptr) return JinjaValue::Of(matches(*argument->text()));
  if (argument != nullptr && argument->list() != nullptr) {
    bool found = false;
    for (const JinjaValue& item : *argument->list())
      found = found || (item.text() != nullptr && matches(*item.text()));
    return JinjaValue::Of(found);
  }
  return WrongArguments(method, "a text");
}

Result<JinjaValue> TextList(std::vector<JinjaText> parts, JinjaHeap* heap) {
  std::vector<JinjaValue> items;
  for (JinjaText& part : parts) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue item, heap->NewString(std::move(part)));
    items.push_back(std::move(item));
  }
  return heap->NewList(std::move(items));
}

Result<JinjaValue> Split(const JinjaText& text, const JinjaArguments& arguments, JinjaHeap* heap) {
  std::string_view separator;
  const JinjaValue* given = arguments.Find(0, "sep");
  if (given != nullptr && !given->is_none()) {
    if (given->text() == nullptr || given->text()->empty())
      return WrongArguments("split", "a separator that is not empty");
    separator = given->text()->str();
  }
  int64_t count = -1;
  const JinjaValue* limit = arguments.Find(1, "maxsplit");
  if (limit != nullptr && !limit->AsInt(&count)) return WrongArguments("split", "an integer limit");
  WEIR_ASSIGN_OR_RETURN(std::vector<JinjaText> parts, SplitText(text, separator, count, heap));
  return TextList(std::move(parts), heap);
}

Result<JinjaValue> SplitLines(const JinjaText& text, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(std::vector<JinjaText> lines, SplitTextLines(text, heap));
  return TextList(std::move(lines), heap);
}

Result<JinjaValue> Join(const JinjaText& separator, const JinjaArguments& arguments, JinjaHeap* heap) {
  const JinjaValue* items = arguments.Find(0, "iterable");
  if (items == nullptr || items->list() == nullptr) return WrongArguments("join", "a list of texts");
  std::vector<JinjaText> parts;
  for (const JinjaValue& item : *items->list()) {
    if (item.text() == nullptr) return WrongArguments("join", "a list of texts");
    parts.push_back(*item.text());
  }
  WEIR_ASSIGN_OR_RETURN(JinjaText joined, JoinText(parts, separator, heap));
  return heap->NewString(std::move(joined));
}

int64_t CountOccurrences(std::string_view text, std::string_view wanted) {
  int64_t count = 0;
  for (size_t at = text.find(wanted); at != std::string_view::npos;
       at = text.find(wanted, at + wanted.size()))
    ++count;
  return count;
}

Result<JinjaValue> CallTextMethod(const JinjaValue& object, std::string_view name,
                                  const JinjaArguments& arguments, JinjaHeap* heap) {
  const JinjaText& text = *object.text();
  WEIR_RETURN_IF_ERROR(heap->SpendOnBytes(text.size()));
  const JinjaText* first = arguments.Text(0, "chars");
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const TextSide side = name == "strip"    ? TextSide::kBoth
                          : name == "lstrip" ? TextSide::kLeft
                                             : TextSide::kRight;
    WEIR_ASSIGN_OR_RETURN(JinjaText stripped,
                          StripText(text, first == nullptr ? std::string_view() : first->str(), side, heap));
    return heap->NewString(std::move(stripped));
  }
  if (name == "startswith" || name == "endswith") return HasAffix(text, name, arguments);
  if (name == "split") return Split(text, arguments, heap);
  if (name == "splitlines") return SplitLines(text, heap);
  if (name == "join") return Join(text, arguments, heap);
  constexpr std::pair<std::string_view, TextCase> kCases[] = {{"upper", TextCase::kUpper},
                                                              {"lower", TextCase::kLower},
                                                              {"title", TextCase::kTitle},
                                                              {"capitalize", TextCase::kCapitalize}};
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
  if (name == "find" || name == "count" || name == "removeprefix" || name == "removesuffix") {
    if (first == nullptr || first->empty()) return WrongArguments(name, "a text that is not empty");
    if (name == "count") return JinjaValue::Of(CountOccurrences(text.str(), first->str()));
    if (name == "find") {
      const size_t at = text.str().find(first->str());
      return JinjaValue::Of(at == std::string::npos
                                ? int64_t{-1}
                                : CountCharacters(std::string_view(text.str()).substr(0, at)));
    }
    const bool prefix = name == "removeprefix" && text.str().starts_with(first->str());
    const bool suffix = name == "removesuffix" && text.str().ends_with(first->str());
    if (!prefix && !suffix) return object;
    return heap->NewString(text.Substr(prefix ? first->size() : 0, text.size() - first->size()));
  }
  return UnknownAttribute(object, name);
}

Result<JinjaValue> CallDictMethod(const JinjaValue& object, std::string_view name,
                                  const JinjaArguments& arguments, JinjaHeap* heap) {
  const JinjaEntries& entries = object.dict()->entries;
  if (name == "get") {
    const JinjaText* key = arguments.Text(0, "key");
    const JinjaValue* found = key == nullptr ? nullptr : FindEntry(entries, key->str());
    if (found != nullptr) return *found;
    const JinjaValue* fallback = arguments.Find(1, "default");
    return fallback == nullptr ? JinjaValue::MakeNone() : *fallback;
  }
  if (name != "items" && name != "keys" && name != "values") return UnknownAttribute(object, name);
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

}  // namespace

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
