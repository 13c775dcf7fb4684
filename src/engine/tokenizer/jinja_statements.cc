#include <fmt/format.h>

#include <algorithm>
#include <iterator>
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
      callers_.push_back({node.macro.get(), frame_begin_, scopes_.size()});
      Result<JinjaValue> called = EvaluateCall(*node.expression);
      callers_.pop_back();
      if (!called.has_value()) return called.error();
      WEIR_ASSIGN_OR_RETURN(const JinjaText text, JinjaToText(*called, &heap_));
      WEIR_RETURN_IF_ERROR(out->Append(text));
      break;
    }
    case Kind::kMacro:
      SetEntry(&Innermost(), node.macro->name,
               JinjaValue::Of(static_cast<const JinjaMacro*>(node.macro.get())));
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
  WEIR_ASSIGN_OR_RETURN(std::shared_ptr<const JinjaList> items, JinjaItems(iterated, &heap_));
  if (node.condition != nullptr) {
    std::vector<JinjaValue> kept;
    scopes_.emplace_back();
    for (const JinjaValue& item : items->items) {
      WEIR_RETURN_IF_ERROR(heap_.Spend(1));
      WEIR_RETURN_IF_ERROR(Bind(node.targets, item));
      WEIR_ASSIGN_OR_RETURN(const JinjaValue passes, Evaluate(*node.condition));
      if (passes.Truthy()) kept.push_back(item);
    }
    scopes_.pop_back();
    WEIR_ASSIGN_OR_RETURN(const JinjaValue list, heap_.NewList(std::move(kept)));
    items = *list.Get<std::shared_ptr<const JinjaList>>();
  }
  if (items->items.empty()) return Execute(node.else_body, out);
  const auto changed = std::make_shared<std::vector<JinjaValue>>();
  for (size_t i = 0; i < items->items.size(); ++i) {
    WEIR_RETURN_IF_ERROR(heap_.Spend(2));
    // A fresh scope each time: what one turn sets, the next does not see.
    scopes_.emplace_back();
    const JinjaLoop loop{items, i, changed};
    SetEntry(&scopes_.back(), "loop", JinjaValue::Of(std::make_shared<const JinjaLoop>(loop)));
    WEIR_RETURN_IF_ERROR(Bind(node.targets, items->items[i]));
    WEIR_ASSIGN_OR_RETURN(const Flow flow, Execute(node.body, out));
    scopes_.pop_back();
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

Status JinjaEvaluator::Bind(const std::vector<std::string>& targets, const JinjaValue& value) {
  if (targets.size() == 1) {
    SetEntry(&Innermost(), targets[0], value);
    return OkStatus();
  }
  const std::vector<JinjaValue>* parts = value.list();
  if (parts == nullptr || parts->size() != targets.size()) {
    return JinjaError(fmt::format("cannot give {} to {} names", value.kind_name(), targets.size()));
  }
  for (size_t i = 0; i < targets.size(); ++i) SetEntry(&Innermost(), targets[i], (*parts)[i]);
  return OkStatus();
}

// A block's text, through its filters if it has some.
Result<JinjaText> JinjaEvaluator::CaptureFiltered(const JinjaStatement& node) {
  Capture capture(&heap_);
  scopes_.emplace_back();
  WEIR_ASSIGN_OR_RETURN(const Flow flow, Execute(node.body, &capture));
  scopes_.pop_back();
  if (flow != Flow::kNext) return JinjaError("break and continue cannot leave a set block");
  if (node.expression == nullptr) return capture.Take();
  WEIR_ASSIGN_OR_RETURN(JinjaValue body, heap_.NewString(capture.Take()));
  scopes_.emplace_back();
  SetEntry(&scopes_.back(), kFilteredName, std::move(body));
  WEIR_ASSIGN_OR_RETURN(const JinjaValue filtered, Evaluate(*node.expression));
  scopes_.pop_back();
  return JinjaToText(filtered, &heap_);
}

Result<JinjaEvaluator::Flow> JinjaEvaluator::ExecuteWith(const JinjaStatement& node, Capture* out) {
  // The values are those of the scope around.
  JinjaEntries entries;
  for (const JinjaStatement& set : node.sets) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue value, Evaluate(*set.expression));
    SetEntry(&entries, set.targets[0], std::move(value));
  }
  scopes_.push_back(std::move(entries));
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
  if (node.attribute.empty()) return Bind(node.targets, value);
  JinjaExpression name;
  name.kind = JinjaExpression::Kind::kName;
  name.name = node.targets[0];
  WEIR_ASSIGN_OR_RETURN(const JinjaValue object, EvaluateName(name));
  if (object.name_space() == nullptr) {
    return JinjaError(
        fmt::format("cannot set attribute \"{}\": \"{}\" is no namespace", node.attribute, node.targets[0]));
  }
  SetEntry(&object.name_space()->entries, node.attribute, std::move(value));
  return OkStatus();
}

Result<JinjaValue> JinjaEvaluator::CallMacro(const JinjaMacro& macro, const JinjaArguments& arguments) {
  if (macro_depth_ >= JinjaBudget::kMaxDepth) {
    return JinjaError(fmt::format("macros call each other deeper than {} levels", JinjaBudget::kMaxDepth));
  }
  if (arguments.positional.size() > macro.parameters.size()) {
    return JinjaError(fmt::format("macro \"{}\" takes {} arguments, not {}", macro.name,
                                  macro.parameters.size(), arguments.positional.size()));
  }
  for (const auto& [name, value] : arguments.named) {
    bool known = false;
    for (const auto& parameter : macro.parameters) known = known || parameter.first == name;
    if (!known) return JinjaError(fmt::format("macro \"{}\" has no parameter \"{}\"", macro.name, name));
  }
  // A call block's body sees the variables around the block, and not those of the macro that calls it.
  size_t frame_begin = scopes_.size();
  std::vector<JinjaEntries> hidden;
  if (macro.is_caller) {
    const auto caller = std::find_if(callers_.rbegin(), callers_.rend(),
                                     [&](const Caller& one) { return one.macro == &macro; });
    if (caller == callers_.rend()) return JinjaError("\"caller\" is called outside its call block");
    frame_begin = caller->frame_begin;
    hidden.assign(std::make_move_iterator(scopes_.begin() + static_cast<std::ptrdiff_t>(caller->num_scopes)),
                  std::make_move_iterator(scopes_.end()));
    scopes_.resize(caller->num_scopes);
  }
  ++macro_depth_;
  const size_t outer_frame = std::exchange(frame_begin_, frame_begin);
  scopes_.emplace_back();
  if (!callers_.empty() && !macro.is_caller && callers_.back().num_scopes + 1 == scopes_.size())
    SetEntry(&scopes_.back(), "caller", JinjaValue::Of(callers_.back().macro));
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const auto& [name, fallback] = macro.parameters[i];
    const JinjaValue* given = arguments.Find(i, name);
    JinjaValue value = JinjaValue::MakeUndefined(name);
    if (given != nullptr) {
      value = *given;
    } else if (fallback != nullptr) {
      WEIR_ASSIGN_OR_RETURN(value, Evaluate(*fallback));
    }
    SetEntry(&scopes_.back(), name, std::move(value));
  }
  Capture capture(&heap_);
  WEIR_ASSIGN_OR_RETURN(const Flow flow, Execute(macro.body, &capture));
  (void)flow;  // no loop of the caller reaches into a macro
  scopes_.pop_back();
  for (JinjaEntries& scope : hidden) scopes_.push_back(std::move(scope));
  frame_begin_ = outer_frame;
  --macro_depth_;
  return heap_.NewString(capture.Take());
}

}  // namespace weir
