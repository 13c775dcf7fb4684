#include "engine/tokenizer/jinja_evaluator.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_filters.h"
#include "engine/tokenizer/jinja_format.h"
#include "engine/tokenizer/jinja_methods.h"
#include "engine/tokenizer/jinja_operators.h"
#include "engine/tokenizer/jinja_predicates.h"

namespace weir {
namespace {

using Kind = JinjaExpression::Kind;

// Nodes inside nodes inside macros: above what any template needs, below what a thread's stack holds.
constexpr int kMaxLevels = 600;

}  // namespace

Status JinjaErrorAtLine(const Status& error, int line) {
  if (error.ok() || error.message().starts_with("chat template, line")) return error;
  return JinjaError(fmt::format("chat template, line {}: {}", line, error.message()));
}

Status JinjaEvaluator::EnterLevel() {
  if (++level_ <= kMaxLevels) return heap_.Spend(1);
  return JinjaError(fmt::format("the depth of {} levels is exceeded", kMaxLevels));
}

Result<JinjaValue> JinjaEvaluator::Evaluate(const JinjaExpression& node) {
  const Status entered = EnterLevel();
  if (!entered.ok()) return JinjaErrorAtLine(entered, node.line);
  Result<JinjaValue> value = EvaluateHere(node);
  --level_;
  if (!value.has_value()) return JinjaErrorAtLine(value.error(), node.line);
  return value;
}

Result<JinjaValue> JinjaEvaluator::EvaluateHere(const JinjaExpression& node) {
  switch (node.kind) {
    case Kind::kLiteral:
      return node.literal;
    case Kind::kName:
      return EvaluateName(node);
    case Kind::kList:
      return EvaluateList(node);
    case Kind::kDict:
      return EvaluateDict(node);
    case Kind::kAttribute:
      return EvaluateAttribute(node);
    case Kind::kSubscript:
      return EvaluateSubscript(node);
    case Kind::kSlice:
      return EvaluateSlice(node);
    case Kind::kCall:
      return EvaluateCall(node, nullptr);
    case Kind::kCompare:
      return EvaluateComparison(node);
    case Kind::kConditional:
      return EvaluateConditional(node);
    default:
      break;
  }
  WEIR_ASSIGN_OR_RETURN(const JinjaValue first, Evaluate(*node.children[0]));
  switch (node.kind) {
    case Kind::kNot:
      return JinjaValue::Of(!first.Truthy());
    case Kind::kNegate:
      return JinjaNegate(first);
    case Kind::kPlus:
      if (!first.is_number()) return JinjaError(fmt::format("\"+\" does not work on {}", first.kind_name()));
      return first;
    case Kind::kAnd:
      return first.Truthy() ? Evaluate(*node.children[1]) : Result<JinjaValue>(first);
    case Kind::kOr:
      return first.Truthy() ? Result<JinjaValue>(first) : Evaluate(*node.children[1]);
    case Kind::kBinary: {
      WEIR_ASSIGN_OR_RETURN(const JinjaValue second, Evaluate(*node.children[1]));
      return JinjaBinary(node.name, first, second, &heap_);
    }
    case Kind::kFilter: {
      WEIR_ASSIGN_OR_RETURN(const JinjaArguments arguments, EvaluateArguments(node));
      return ApplyJinjaFilter(node.name, first, arguments, &heap_);
    }
    default: {
      WEIR_ASSIGN_OR_RETURN(const JinjaArguments arguments, EvaluateArguments(node));
      WEIR_ASSIGN_OR_RETURN(const bool passes, ApplyJinjaTest(node.name, first, arguments, &heap_));
      return JinjaValue::Of(passes);
    }
  }
}

Result<JinjaValue> JinjaEvaluator::EvaluateName(const JinjaExpression& node) const {
  for (size_t i = scopes_.size(); i > frame_begin_; --i) {
    if (const JinjaValue* found = FindEntry(scopes_[i - 1].entries, node.name)) return *found;
  }
  if (const JinjaValue* found = FindEntry(globals_, node.name)) return *found;
  constexpr std::pair<std::string_view, JinjaFunction> kFunctions[] = {
      {"range", JinjaFunction::kRange},
      {"namespace", JinjaFunction::kNamespace},
      {"dict", JinjaFunction::kDict},
      {"raise_exception", JinjaFunction::kRaiseException}};
  for (const auto& [name, function] : kFunctions) {
    if (name == node.name) return JinjaValue::Of(function);
  }
  if (node.name == "strftime_now" && now_.has_value()) return JinjaValue::Of(JinjaFunction::kStrftimeNow);
  for (const std::string_view name : {"lipsum", "cycler", "joiner", "self"}) {
    if (name == node.name)
      return JinjaError(fmt::format("\"{}\" is undefined: chat templates are rendered without it", name));
  }
  return JinjaValue::MakeUndefined(node.name);
}

Result<JinjaValue> JinjaEvaluator::EvaluateList(const JinjaExpression& node) {
  std::vector<JinjaValue> items;
  for (const JinjaExpressionPtr& child : node.children) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue item, Evaluate(*child));
    items.push_back(std::move(item));
  }
  return heap_.NewList(std::move(items), node.name == "tuple");
}

Result<JinjaValue> JinjaEvaluator::EvaluateDict(const JinjaExpression& node) {
  JinjaEntries entries;
  for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
    WEIR_ASSIGN_OR_RETURN(const JinjaValue key, Evaluate(*node.children[i]));
    if (key.text() == nullptr)
      return JinjaError(fmt::format("a dict's key is {}, expected a string", key.kind_name()));
    WEIR_ASSIGN_OR_RETURN(JinjaValue value, Evaluate(*node.children[i + 1]));
    WEIR_RETURN_IF_ERROR(heap_.Room(key.text()->size() + EntryBytes(entries)));
    WEIR_RETURN_IF_ERROR(heap_.Spend(entries.size() / 16));
    SetEntry(&entries, key.text()->str(), std::move(value));
  }
  return heap_.NewDict(std::move(entries));
}

Result<JinjaValue> JinjaEvaluator::EvaluateAttribute(const JinjaExpression& node) {
  WEIR_ASSIGN_OR_RETURN(const JinjaValue object, Evaluate(*node.children[0]));
  WEIR_ASSIGN_OR_RETURN(JinjaValue value, ReadAttribute(object, node.name));
  return value;
}

Result<JinjaValue> JinjaEvaluator::ReadAttribute(const JinjaValue& object, std::string_view name) {
  if (object.is_undefined()) {
    return JinjaError(fmt::format("\"{}\" is undefined", object.Get<JinjaValue::Undefined>()->name));
  }
  if (name.starts_with('_')) {
    return JinjaError(
        fmt::format("unknown attribute \"{}\" of {}", QuoteForMessage(name), object.kind_name()));
  }
  if (object.loop() != nullptr) return ReadLoop(*object.loop(), name);
  if (const auto* macro = object.Get<JinjaClosure>()) return ReadMacro(*macro->macro, name);
  // Methods come before entries of the same name, which only object['items'] reads.
  WEIR_ASSIGN_OR_RETURN(const JinjaValue member, JinjaMember(object, name, name));
  if (!member.is_undefined()) return member;
  const JinjaValue* found = nullptr;
  if (object.dict() != nullptr) found = FindEntry(object.dict()->entries, name);
  if (object.name_space() != nullptr) found = FindEntry(object.name_space()->entries, name);
  return found == nullptr ? JinjaValue::MakeUndefined(name) : *found;
}

Result<JinjaValue> JinjaEvaluator::ReadLoop(const JinjaLoop& loop, std::string_view name) {
  const std::vector<JinjaValue>& items = loop.items->items;
  const size_t index = loop.index;
  const auto number = [](size_t value) { return JinjaValue::Of(static_cast<int64_t>(value)); };
  if (name == "index") return number(index + 1);
  if (name == "index0") return number(index);
  if (name == "revindex") return number(items.size() - index);
  if (name == "revindex0") return number(items.size() - index - 1);
  if (name == "first") return JinjaValue::Of(index == 0);
  if (name == "last") return JinjaValue::Of(index + 1 == items.size());
  if (name == "length") return number(items.size());
  if (name == "depth") return JinjaValue::Of(int64_t{loop.depth} + 1);
  if (name == "depth0") return JinjaValue::Of(int64_t{loop.depth});
  if (name == "previtem") return index == 0 ? JinjaValue::MakeUndefined("loop.previtem") : items[index - 1];
  if (name == "nextitem") {
    return index + 1 == items.size() ? JinjaValue::MakeUndefined("loop.nextitem") : items[index + 1];
  }
  return JinjaError(fmt::format("unknown attribute \"{}\" of the loop", QuoteForMessage(name)));
}

Result<JinjaValue> JinjaEvaluator::ReadMacro(const JinjaMacro& macro, std::string_view name) {
  if (name == "name") {
    if (macro.is_caller) return JinjaValue::MakeNone();
    return heap_.NewString(JinjaText(macro.name, true));
  }
  if (name == "arguments") {
    std::vector<JinjaValue> names;
    for (const auto& [parameter, fallback] : macro.parameters) {
      WEIR_ASSIGN_OR_RETURN(JinjaValue text, heap_.NewString(JinjaText(parameter, true)));
      names.push_back(std::move(text));
    }
    return heap_.NewList(std::move(names), true);
  }
  if (name == "catch_kwargs") return JinjaValue::Of(macro.uses_kwargs);
  if (name == "catch_varargs") return JinjaValue::Of(macro.uses_varargs);
  if (name == "caller") return JinjaValue::Of(macro.uses_caller);
  return JinjaError(fmt::format("unknown attribute \"{}\" of a macro", QuoteForMessage(name)));
}

Result<JinjaValue> JinjaEvaluator::EvaluateSubscript(const JinjaExpression& node) {
  WEIR_ASSIGN_OR_RETURN(const JinjaValue object, Evaluate(*node.children[0]));
  WEIR_ASSIGN_OR_RETURN(const JinjaValue index, Evaluate(*node.children[1]));
  if (index.text() != nullptr && (object.loop() != nullptr || object.Is<JinjaClosure>()))
    return ReadAttribute(object, index.text()->str());
  const JinjaText* literal = node.children[1]->literal.text();
  return JinjaSubscript(object, index, literal == nullptr ? std::string_view("an item") : literal->str(),
                        &heap_);
}

Result<JinjaValue> JinjaEvaluator::EvaluateSlice(const JinjaExpression& node) {
  WEIR_ASSIGN_OR_RETURN(const JinjaValue object, Evaluate(*node.children[0]));
  std::optional<int64_t> bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (node.children[i + 1] == nullptr) continue;
    WEIR_ASSIGN_OR_RETURN(const JinjaValue bound, Evaluate(*node.children[i + 1]));
    int64_t number = 0;
    if (bound.is_none()) continue;
    if (!bound.AsInt(&number)) return JinjaError(fmt::format("a slice's bound is {}", bound.kind_name()));
    bounds[i] = number;
  }
  return JinjaSlice(object, bounds[0], bounds[1], bounds[2], &heap_);
}

Result<JinjaArguments> JinjaEvaluator::EvaluateArguments(const JinjaExpression& node) {
  JinjaArguments arguments;
  for (size_t i = 1; i < node.children.size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue value, Evaluate(*node.children[i]));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, child] : node.named) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue value, Evaluate(*child));
    SetEntry(&arguments.named, name, std::move(value));
  }
  return arguments;
}

Result<JinjaValue> JinjaEvaluator::EvaluateCall(const JinjaExpression& node, const JinjaValue* caller) {
  const JinjaExpression& target = *node.children[0];
  if (target.kind != Kind::kAttribute) {
    WEIR_ASSIGN_OR_RETURN(const JinjaValue callee, Evaluate(target));
    WEIR_ASSIGN_OR_RETURN(JinjaArguments arguments, EvaluateArguments(node));
    if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
    return Call(callee, arguments);
  }
  WEIR_ASSIGN_OR_RETURN(const JinjaValue object, Evaluate(*target.children[0]));
  WEIR_ASSIGN_OR_RETURN(JinjaArguments arguments, EvaluateArguments(node));
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  if (object.name_space() != nullptr) {
    WEIR_ASSIGN_OR_RETURN(const JinjaValue callee, ReadAttribute(object, target.name));
    return Call(callee, arguments);
  }
  if (object.loop() != nullptr && !arguments.named.empty())
    return JinjaError(fmt::format("loop.{}() takes no named arguments", QuoteForMessage(target.name)));
  if (object.loop() != nullptr && target.name == "cycle" && !arguments.positional.empty()) {
    return arguments.positional[object.loop()->index % arguments.positional.size()];
  }
  if (object.loop() != nullptr && target.name == "changed" && !arguments.positional.empty()) {
    std::vector<JinjaValue>& last = *object.loop()->changed;
    bool same = last.size() == arguments.positional.size();
    for (size_t i = 0; same && i < last.size(); ++i)
      same = JinjaEquals(last[i], arguments.positional[i], heap_.budget());
    if (!same) last = arguments.positional;
    return JinjaValue::Of(!same);
  }
  return CallJinjaMethod(object, target.name, arguments, &heap_);
}

Result<JinjaValue> JinjaEvaluator::Call(const JinjaValue& callee, const JinjaArguments& arguments) {
  if (const auto* macro = callee.Get<JinjaClosure>()) return CallMacro(*macro, arguments);
  if (callee.loop() != nullptr) return CallLoop(*callee.loop(), arguments);
  if (const auto* function = callee.Get<JinjaFunction>()) return CallFunction(*function, arguments);
  if (callee.is_undefined()) {
    return JinjaError(fmt::format("\"{}\" is undefined", callee.Get<JinjaValue::Undefined>()->name));
  }
  return JinjaError(fmt::format("cannot call {}", callee.kind_name()));
}

Result<JinjaValue> JinjaEvaluator::EvaluateComparison(const JinjaExpression& node) {
  WEIR_ASSIGN_OR_RETURN(JinjaValue left, Evaluate(*node.children[0]));
  for (size_t i = 0; i < node.operators.size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue right, Evaluate(*node.children[i + 1]));
    WEIR_ASSIGN_OR_RETURN(const bool holds, JinjaCompare(node.operators[i], left, right, &heap_));
    if (!holds) return JinjaValue::Of(false);
    left = std::move(right);
  }
  return JinjaValue::Of(true);
}

Result<JinjaValue> JinjaEvaluator::EvaluateConditional(const JinjaExpression& node) {
  WEIR_ASSIGN_OR_RETURN(const JinjaValue condition, Evaluate(*node.children[1]));
  if (condition.Truthy()) return Evaluate(*node.children[0]);
  if (node.children[2] == nullptr) return JinjaValue::MakeUndefined("the missing else");
  return Evaluate(*node.children[2]);
}

}  // namespace weir
