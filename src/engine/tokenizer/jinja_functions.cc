// The functions that exist without being defined.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_evaluator.h"
#include "engine/tokenizer/jinja_format.h"
#include "engine/tokenizer/jinja_operators.h"

namespace weir {

Result<JinjaValue> JinjaEvaluator::CallFunction(JinjaFunction function, const JinjaArguments& arguments) {
  constexpr std::pair<std::string_view, std::string_view> kParameters[] = {{"range", "start stop step /"},
                                                                           {"namespace", "*"},
                                                                           {"dict", "*"},
                                                                           {"raise_exception", "message"},
                                                                           {"strftime_now", "format"}};
  const auto& [name, parameters] = kParameters[static_cast<size_t>(function)];
  WEIR_RETURN_IF_ERROR(CheckJinjaArguments("function", name, parameters, arguments));
  switch (function) {
    case JinjaFunction::kRange:
      return CallRange(arguments);
    case JinjaFunction::kNamespace: {
      WEIR_ASSIGN_OR_RETURN(JinjaEntries entries, MakeEntries(arguments));
      return heap_.NewNamespace(std::move(entries));
    }
    case JinjaFunction::kDict: {
      WEIR_ASSIGN_OR_RETURN(JinjaEntries entries, MakeEntries(arguments));
      return heap_.NewDict(std::move(entries));
    }
    case JinjaFunction::kStrftimeNow:
      return CallStrftimeNow(arguments);
    case JinjaFunction::kRaiseException:
      break;
  }
  std::string message = "the template refused the conversation";
  if (const JinjaValue* given = arguments.Find(0, "message")) {
    WEIR_ASSIGN_OR_RETURN(const JinjaText text, JinjaToText(*given, &heap_));
    message += ": " + QuoteForMessage(text.str(), 512);
  }
  return JinjaError(std::move(message));
}

// dict(mapping or pairs, name=value, ...)
Result<JinjaEntries> JinjaEvaluator::MakeEntries(const JinjaArguments& arguments) {
  if (arguments.positional.empty()) return arguments.named;
  if (arguments.positional.size() > 1) return JinjaError("dict() and namespace() take one dict or list");
  const JinjaValue& given = arguments.positional[0];
  JinjaEntries entries;
  if (given.dict() != nullptr) {
    WEIR_RETURN_IF_ERROR(heap_.Room(EntryBytes(given.dict()->entries)));
    WEIR_RETURN_IF_ERROR(heap_.Spend(given.dict()->entries.size() / 16));
    entries = given.dict()->entries;
  } else {
    WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> pairs, JinjaItems(given, &heap_));
    for (const JinjaValue& pair : pairs->items) {
      const std::vector<JinjaValue>* parts = pair.list();
      if (parts == nullptr || parts->size() != 2 || (*parts)[0].text() == nullptr)
        return JinjaError("dict() and namespace() take pairs of a text and a value");
      WEIR_RETURN_IF_ERROR(heap_.Room(EntryBytes(entries)));
      WEIR_RETURN_IF_ERROR(heap_.Spend(1 + entries.size() / 16));
      SetEntry(&entries, (*parts)[0].text()->str(), (*parts)[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) SetEntry(&entries, name, value);
  return entries;
}

// The server's local time. Without %f, %z and %Z, which C and Python write differently.
Result<JinjaValue> JinjaEvaluator::CallStrftimeNow(const JinjaArguments& arguments) {
  const JinjaText* format = arguments.Text(0, "format");
  if (format == nullptr || format->size() > 128 || format->str().find('\0') != std::string::npos)
    return JinjaError("strftime_now needs a format of at most 128 bytes");
  for (const std::string_view unknown : {"%f", "%z", "%Z", "%:"})
    if (format->str().find(unknown) != std::string::npos)
      return JinjaError(fmt::format("strftime_now does not know \"{}\"", unknown));
  const auto seconds = static_cast<std::time_t>(*now_);
  std::tm local{};
  if (localtime_r(&seconds, &local) == nullptr) return JinjaError("strftime_now has no time to tell");
  char text[1024];
  const size_t size = std::strftime(text, sizeof text, format->str().c_str(), &local);
  return heap_.NewData(std::string(text, size));
}

Result<JinjaValue> JinjaEvaluator::CallRange(const JinjaArguments& arguments) {
  int64_t numbers[3] = {0, 0, 1};
  const size_t count = arguments.positional.size();
  if (count < 1 || count > 3) return JinjaError("range() takes one to three integers");
  for (size_t i = 0; i < count; ++i) {
    if (!arguments.positional[i].AsInt(&numbers[count == 1 ? 1 : i]))
      return JinjaError("range() takes integers");
  }
  const auto [start, stop, step] = numbers;
  if (step == 0) return JinjaError("range() needs a step other than 0");
  std::vector<JinjaValue> items;
  if (step > 0 ? start < stop : start > stop) {
    // Unsigned, because the distance may exceed a signed number.
    const uint64_t distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                       : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
    const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : -static_cast<uint64_t>(step);
    const uint64_t num_items = (distance - 1) / stride + 1;
    WEIR_RETURN_IF_ERROR(
        heap_.Room(std::min<uint64_t>(num_items, JinjaBudget::kMaxLiveBytes) * sizeof(JinjaValue)));
    WEIR_RETURN_IF_ERROR(heap_.Spend(num_items / 16));
    items.reserve(num_items);
    for (uint64_t i = 0; i < num_items; ++i) {
      items.push_back(JinjaValue::Of(
          static_cast<int64_t>(static_cast<uint64_t>(start) + i * static_cast<uint64_t>(step))));
    }
  }
  return heap_.NewList(std::move(items));
}

}  // namespace weir
