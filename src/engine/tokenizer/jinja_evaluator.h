// Walks a parsed template with one set of variables and collects the text.
//
// Requires  the body and the budget outlive the evaluator
// Errors    INVALID_ARGUMENT, reason "template_error", with the line: wrong kinds, raise_exception, a budget spent
// Threads   one rendering, one thread
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/tokenizer/jinja_arguments.h"
#include "engine/tokenizer/jinja_ast.h"
#include "engine/tokenizer/jinja_heap.h"

namespace weir {

class JinjaEvaluator {
 public:
  explicit JinjaEvaluator(JinjaHeap* heap) : heap_(*heap) {}

  // A name that the template may read, and shadow.
  void SetGlobal(std::string_view name, JinjaValue value) { SetEntry(&globals_, name, std::move(value)); }
  // What strftime_now tells, in seconds since 1970; without it that function is undefined.
  void SetTime(int64_t seconds) { now_ = seconds; }
  Result<JinjaText> Render(const JinjaBody& body);

 private:
  // What a body did: ran through, or met break or continue.
  enum class Flow { kNext, kBreak, kContinue };

  // Text being collected, charged while it exists.
  class Capture;

  // jinja_evaluator.cc
  Result<JinjaValue> Evaluate(const JinjaExpression& node);
  Result<JinjaValue> EvaluateHere(const JinjaExpression& node);
  Result<JinjaValue> EvaluateName(const JinjaExpression& node) const;
  Result<JinjaValue> EvaluateList(const JinjaExpression& node);
  Result<JinjaValue> EvaluateDict(const JinjaExpression& node);
  Result<JinjaValue> EvaluateAttribute(const JinjaExpression& node);
  Result<JinjaValue> EvaluateSubscript(const JinjaExpression& node);
  Result<JinjaValue> EvaluateSlice(const JinjaExpression& node);
  // `caller`: the body of the call block around, null without one.
  Result<JinjaValue> EvaluateCall(const JinjaExpression& node, const JinjaValue* caller);
  Result<JinjaValue> EvaluateComparison(const JinjaExpression& node);
  Result<JinjaValue> EvaluateConditional(const JinjaExpression& node);
  Result<JinjaArguments> EvaluateArguments(const JinjaExpression& node);
  Result<JinjaValue> ReadAttribute(const JinjaValue& object, std::string_view name);
  Result<JinjaValue> ReadMacro(const JinjaMacro& macro, std::string_view name);
  Result<JinjaValue> ReadLoop(const JinjaLoop& loop, std::string_view name);
  Result<JinjaValue> Call(const JinjaValue& callee, const JinjaArguments& arguments);

  // jinja_functions.cc
  Result<JinjaValue> CallFunction(JinjaFunction function, const JinjaArguments& arguments);
  Result<JinjaEntries> MakeEntries(const JinjaArguments& arguments);
  Result<JinjaValue> CallStrftimeNow(const JinjaArguments& arguments);
  Result<JinjaValue> CallRange(const JinjaArguments& arguments);

  // jinja_statements.cc
  Result<Flow> Execute(const JinjaBody& body, Capture* out);
  Result<Flow> ExecuteOne(const JinjaStatement& node, Capture* out);
  Result<Flow> ExecuteIf(const JinjaStatement& node, Capture* out);
  Result<Flow> ExecuteFor(const JinjaStatement& node, Capture* out);
  Result<Flow> ExecuteWith(const JinjaStatement& node, Capture* out);
  Result<JinjaText> CaptureFiltered(const JinjaStatement& node);
  Status ExecuteSet(const JinjaStatement& node);
  Status Bind(const JinjaTarget& target, const JinjaValue& value);

  // jinja_calls.cc
  Result<Flow> RunLoop(const JinjaStatement& node, const JinjaValue& iterated, const JinjaView& view,
                       int depth, Capture* out);
  Result<JinjaValue> CallLoop(const JinjaLoop& loop, const JinjaArguments& arguments);
  Result<JinjaValue> CallMacro(const JinjaClosure& closure, JinjaArguments arguments);
  Status GiveArguments(const JinjaMacro& macro, JinjaArguments arguments);
  JinjaView ViewHere() const;

  // The variables that "set" writes: those of the innermost loop or macro, else the template's.
  JinjaEntries& Innermost() { return scopes_.size() > frame_begin_ ? scopes_.back().entries : globals_; }
  void PushScope(JinjaEntries entries = {}) { scopes_.push_back({std::move(entries), ++num_pushed_}); }
  Status EnterLevel();

  struct Scope {
    JinjaEntries entries;
    uint32_t serial;  // of its push, so that a view knows whether it still is the one
  };

  // What is put aside while a macro or a loop that sees less is run.
  struct Aside {
    std::vector<Scope> scopes;
    size_t frame_begin;
  };
  Result<Aside> EnterView(const JinjaView& view, std::string_view name);
  void LeaveView(Aside aside);

  JinjaHeap& heap_;
  JinjaEntries globals_;
  std::optional<int64_t> now_;  // for strftime_now, in seconds since 1970
  std::vector<Scope> scopes_;   // of loops and macros, innermost last
  uint32_t num_pushed_ = 0;     // bounded by the steps
  size_t frame_begin_ = 0;      // scopes before this belong to a macro's caller
  int level_ = 0;               // of evaluation, bounded so that the stack is
  int call_depth_ = 0;          // of macros and loops
};

class JinjaEvaluator::Capture {
 public:
  explicit Capture(JinjaHeap* heap) : heap_(*heap) {}
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() { heap_.budget()->Release(held_); }

  Status Append(const JinjaText& text);
  JinjaText Take() { return std::move(text_); }

 private:
  JinjaHeap& heap_;
  JinjaText text_;
  size_t held_ = 0;
};

// Adds "chat template, line N" to an error that has no line yet.
Status JinjaErrorAtLine(const Status& error, int line);

}  // namespace weir
