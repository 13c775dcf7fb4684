// What runs a body somewhere else than where it stands: macros, call blocks, loops and loop(...).
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_evaluator.h"
#include "engine/tokenizer/jinja_operators.h"

namespace weir {

JinjaView JinjaEvaluator::ViewHere() const {
  if (scopes_.size() == frame_begin_) return {};
  return {static_cast<uint16_t>(frame_begin_), static_cast<uint16_t>(scopes_.size()), scopes_.back().serial};
}

Result<JinjaEvaluator::Aside> JinjaEvaluator::EnterView(const JinjaView& view, std::string_view name) {
  if (call_depth_ >= JinjaBudget::kMaxDepth) {
    return JinjaError(
        fmt::format("macros and loops call each other deeper than {} levels", JinjaBudget::kMaxDepth));
  }
  Aside aside{{}, frame_begin_};
  frame_begin_ = scopes_.size();
  if (view.num_scopes > 0) {
    if (view.num_scopes > scopes_.size() || scopes_[view.num_scopes - 1].serial != view.serial) {
      return JinjaError(
          fmt::format("\"{}\" is called outside the block it was made in", QuoteForMessage(name)));
    }
    const auto begin = scopes_.begin() + view.num_scopes;
    aside.scopes.assign(std::make_move_iterator(begin), std::make_move_iterator(scopes_.end()));
    scopes_.erase(begin, scopes_.end());
    frame_begin_ = view.frame_begin;
  }
  ++call_depth_;
  WEIR_RETURN_IF_ERROR(heap_.Spend(aside.scopes.size() / 16));
  return aside;
}

void JinjaEvaluator::LeaveView(Aside aside) {
  for (Scope& scope : aside.scopes) scopes_.push_back(std::move(scope));
  frame_begin_ = aside.frame_begin;
  --call_depth_;
}

Result<JinjaEvaluator::Flow> JinjaEvaluator::RunLoop(const JinjaStatement& node, const JinjaValue& iterated,
                                                     const JinjaView& view, int depth, Capture* out) {
  WEIR_ASSIGN_OR_RETURN(std::shared_ptr<const JinjaList> items, JinjaItems(iterated, &heap_));
  if (node.condition != nullptr) {
    std::vector<JinjaValue> kept;
    PushScope();
    for (const JinjaValue& item : items->items) {
      WEIR_RETURN_IF_ERROR(heap_.Spend(1));
      WEIR_RETURN_IF_ERROR(Bind(node.target, item));
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
    PushScope();
    const JinjaLoop loop{items, i, changed, node.is_recursive ? &node : nullptr, view, depth};
    SetEntry(&Innermost(), "loop", JinjaValue::Of(std::make_shared<const JinjaLoop>(loop)));
    WEIR_RETURN_IF_ERROR(Bind(node.target, items->items[i]));
    WEIR_ASSIGN_OR_RETURN(const Flow flow, Execute(node.body, out));
    scopes_.pop_back();
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNext;
}

// loop(items): the text of the same loop over other items.
Result<JinjaValue> JinjaEvaluator::CallLoop(const JinjaLoop& loop, const JinjaArguments& arguments) {
  if (loop.recursive == nullptr) return JinjaError("loop(...) needs a loop that is marked \"recursive\"");
  WEIR_RETURN_IF_ERROR(CheckJinjaArguments("loop", "loop", "iterable", arguments));
  const JinjaValue* iterated = arguments.Find(0, "iterable");
  if (iterated == nullptr) return JinjaError("loop(...) needs something to go through");
  WEIR_ASSIGN_OR_RETURN(Aside aside, EnterView(loop.view, "loop"));
  Capture capture(&heap_);
  WEIR_ASSIGN_OR_RETURN(const Flow flow,
                        RunLoop(*loop.recursive, *iterated, loop.view, loop.depth + 1, &capture));
  (void)flow;  // break and continue end in this loop
  LeaveView(std::move(aside));
  return heap_.NewString(capture.Take());
}

Result<JinjaValue> JinjaEvaluator::CallMacro(const JinjaClosure& closure, JinjaArguments arguments) {
  const JinjaMacro& macro = *closure.macro;
  WEIR_ASSIGN_OR_RETURN(Aside aside, EnterView(closure.view, macro.name));
  PushScope();
  WEIR_RETURN_IF_ERROR(GiveArguments(macro, std::move(arguments)));
  Capture capture(&heap_);
  WEIR_ASSIGN_OR_RETURN(const Flow flow, Execute(macro.body, &capture));
  (void)flow;  // no loop of the caller reaches into a macro
  scopes_.pop_back();
  LeaveView(std::move(aside));
  return heap_.NewString(capture.Take());
}

// Parameters first, then what the body reads of "caller", "kwargs" and "varargs"; all else is too much.
Status JinjaEvaluator::GiveArguments(const JinjaMacro& macro, JinjaArguments arguments) {
  const size_t num_placed = std::min(arguments.positional.size(), macro.parameters.size());
  const auto take = [&](std::string_view name, JinjaValue* value) {
    const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    if (found == arguments.named.end()) return false;
    *value = std::move(found->second);
    arguments.named.erase(found);
    return true;
  };
  bool declares_caller = false;
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const auto& [name, fallback] = macro.parameters[i];
    declares_caller = declares_caller || name == "caller";
    JinjaValue value = JinjaValue::MakeUndefined(name);
    if (i < num_placed) {
      value = arguments.positional[i];
    } else if (!take(name, &value) && fallback != nullptr) {
      WEIR_ASSIGN_OR_RETURN(value, Evaluate(*fallback));
    }
    SetEntry(&Innermost(), name, std::move(value));
  }
  if (macro.uses_caller && !declares_caller) {
    JinjaValue value = JinjaValue::MakeUndefined("caller");
    take("caller", &value);
    SetEntry(&Innermost(), "caller", std::move(value));
  }
  if (macro.uses_kwargs) {
    WEIR_ASSIGN_OR_RETURN(JinjaValue rest, heap_.NewDict(std::move(arguments.named)));
    SetEntry(&Innermost(), "kwargs", std::move(rest));
  } else if (!arguments.named.empty()) {
    return JinjaError(fmt::format("macro \"{}\" has no parameter \"{}\"", macro.name,
                                  QuoteForMessage(arguments.named[0].first)));
  }
  if (macro.uses_varargs) {
    std::vector<JinjaValue> rest(arguments.positional.begin() + static_cast<std::ptrdiff_t>(num_placed),
                                 arguments.positional.end());
    WEIR_ASSIGN_OR_RETURN(JinjaValue tuple, heap_.NewList(std::move(rest), true));
    SetEntry(&Innermost(), "varargs", std::move(tuple));
  } else if (arguments.positional.size() > num_placed) {
    return JinjaError(fmt::format("macro \"{}\" takes {} arguments, not {}", macro.name,
                                  macro.parameters.size(), arguments.positional.size()));
  }
  return OkStatus();
}

}  // namespace weir
