#include <fmt/format.h>

#include <memory>
#include <utility>

#include "engine/tokenizer/jinja_evaluator.h"
#include "engine/tokenizer/jinja_format.h"
#include "engine/tokenizer/jinja_operators.h"

namespace weir {

using Kind = JinjaStatement::Kind;

Status JinjaEvaluator::Capture::Append(const JinjaText& text) {
  if (text.size() > JinjaBudget::kMaxOutputBytes - text_.size()) {
    return JinjaError(fmt::format("the budget of {} bytes of output is spent", JinjaBudget::kMaxOutputBytes));
  }
  WEIR_RETURN_IF_ERROR(heap_.Room(text.footprint()));
  WEIR_RETURN_IF_ERROR(heap_.SpendOnBytes(text.size()));
  heap_.budget()->Hold(text.footprint());
  held_ += text.footprint();
  text_.Append(text);
  return OkStatus();
}

Result<JinjaText> JinjaEvaluator::Render(const JinjaBody& body) {
  Capture out(&heap_);
  WEIR_ASSIGN_OR_RETURN(const Flow flow, Execute(body, &out));
  (void)flow;  // the parser lets break and continue stand inside loops only
  return out.Take();
}

Result<JinjaEvaluator::Flow> JinjaEvaluator::Execute(const JinjaBody& body, Capture* out) {
  for (const JinjaStatement& node : body) {
    const Status entered = EnterLevel();
    if (!entered.ok()) return JinjaErrorAtLine(entered, node.line);
    Result<Flow> flow = ExecuteOne(node, out);
    --level_;
    if (!flow.has_value()) return JinjaErrorAtLine(flow.error(), node.line);
    if (*flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<JinjaEvaluator::Flow> JinjaEvaluator::ExecuteOne(const JinjaStatement& node, Capture* out) {
  switch (node.kind) {
    case Kind::kText:
      WEIR_RETURN_IF_ERROR(out->Append(node.text));
      break;
    case Kind::kOutput: {
      WEIR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*node.expression));
      WEIR_ASSIGN_OR_RETURN(const JinjaText text, JinjaToText(value, &heap_));
      WEIR_RETURN_IF_ERROR(out->Append(text));
      break;
    }
    case Kind::kIf:
      return ExecuteIf(node, out);
    case Kind::kFor:
      return ExecuteFor(node, out);
    case Kind::kSet:
    case Kind::kSetBlock:
      WEIR_RETURN_IF_ERROR(ExecuteSet(node));
      break;
    case Kind::kFilterBlock: {
      WEIR_ASSIGN_OR_RETURN(const JinjaText text, CaptureFiltered(node));
      WEIR_RETURN_IF_ERROR(out->Append(text));
      break;
    }
    case Kind::kWith:
      return ExecuteWith(node, out);
    case Kind::kCallBlock: {
      const JinjaValue caller = JinjaValue::Of(JinjaClosure{node.macro.get(), ViewHere()});
      WEIR_ASSIGN_OR_RETURN(const JinjaValue called, EvaluateCall(*node.expression, &caller));
      WEIR_ASSIGN_OR_RETURN(const JinjaText text, JinjaToText(called, &heap_));
      WEIR_RETURN_IF_ERROR(out->Append(text));
      break;
    }
    case Kind::kMacro:
      SetEntry(&Innermost(), node.macro->name, JinjaValue::Of(JinjaClosure{node.macro.get(), ViewHere()}));
      break;
    case Kind::kBreak:
      return Flow::kBreak;
    case Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Result<JinjaEvaluator::Flow> JinjaEvaluator::ExecuteIf(const JinjaStatement& node, Capture* out) {
  for (const auto& [condition, body] : node.branches) {
    if (condition != nullptr) {
      WEIR_ASSIGN_OR_RETURN(const JinjaValue value, Evaluate(*condition));
      if (!value.Truthy()) continue;
    }
    return Execute(body, out);
  }
  return Flow::kNext;
}

Result<JinjaEvaluator::Flow> JinjaEvaluator::ExecuteFor(const JinjaStatement& node, Capture* out) {
  WEIR_ASSIGN_OR_RETURN(const JinjaValue iterated, Evaluate(*node.expression));
  return RunLoop(node, iterated, ViewHere(), 0, out);
}

Status JinjaEvaluator::Bind(const JinjaTarget& target, const JinjaValue& value) {
  if (!target.attribute.empty()) {
    JinjaExpression name;
    name.kind = JinjaExpression::Kind::kName;
    name.name = target.name;
    WEIR_ASSIGN_OR_RETURN(const JinjaValue object, EvaluateName(name));
    if (object.name_space() == nullptr) {
      return JinjaError(
          fmt::format("cannot set attribute \"{}\": \"{}\" is no namespace", target.attribute, target.name));
    }
    SetEntry(&object.name_space()->entries, target.attribute, value);
    return OkStatus();
  }
  if (!target.name.empty()) {
    SetEntry(&Innermost(), target.name, value);
    return OkStatus();
  }
  WEIR_ASSIGN_OR_RETURN(const std::shared_ptr<const JinjaList> items, JinjaItems(value, &heap_));
  if (items->items.size() != target.parts.size()) {
    return JinjaError(fmt::format("cannot give {} of {} items to {} names", value.kind_name(),
                                  items->items.size(), target.parts.size()));
  }
  for (size_t i = 0; i < target.parts.size(); ++i)
    WEIR_RETURN_IF_ERROR(Bind(target.parts[i], items->items[i]));
  return OkStatus();
}

// A block's text, through its filters if it has some.
Result<JinjaText> JinjaEvaluator::CaptureFiltered(const JinjaStatement& node) {
  Capture capture(&heap_);
  PushScope();
  WEIR_ASSIGN_OR_RETURN(const Flow flow, Execute(node.body, &capture));
  scopes_.pop_back();
  if (flow != Flow::kNext) return JinjaError("break and continue cannot leave a set block");
  if (node.expression == nullptr) return capture.Take();
  WEIR_ASSIGN_OR_RETURN(JinjaValue body, heap_.NewString(capture.Take()));
  PushScope();
  SetEntry(&Innermost(), kFilteredName, std::move(body));
  WEIR_ASSIGN_OR_RETURN(const JinjaValue filtered, Evaluate(*node.expression));
  scopes_.pop_back();
  return JinjaToText(filtered, &heap_);
}

Result<JinjaEvaluator::Flow> JinjaEvaluator::ExecuteWith(const JinjaStatement& node, Capture* out) {
  // The values are those of the scope around.
  std::vector<JinjaValue> values;
  for (const JinjaStatement& set : node.sets) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue value, Evaluate(*set.expression));
    values.push_back(std::move(value));
  }
  PushScope();
  for (size_t i = 0; i < values.size(); ++i) WEIR_RETURN_IF_ERROR(Bind(node.sets[i].target, values[i]));
  WEIR_ASSIGN_OR_RETURN(const Flow flow, Execute(node.body, out));
  scopes_.pop_back();
  return flow;
}

Status JinjaEvaluator::ExecuteSet(const JinjaStatement& node) {
  JinjaValue value;
  if (node.kind == Kind::kSetBlock) {
    WEIR_ASSIGN_OR_RETURN(JinjaText text, CaptureFiltered(node));
    WEIR_ASSIGN_OR_RETURN(value, heap_.NewString(std::move(text)));
  } else {
    WEIR_ASSIGN_OR_RETURN(value, Evaluate(*node.expression));
  }
  return Bind(node.target, value);
}

}  // namespace weir
