// Finite automata over bytes, deterministic but for calls of other rules, which are letters of their own here.
//
// Requires  states[0] is the start; edges of a state do not overlap and ascend
// Errors    INVALID_ARGUMENT "unsupported_schema" when the budget is used up or an expression nests too deeply
// Threads   immutable once made
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/grammar/expression.h"
#include "engine/grammar/work_budget.h"

namespace weir {

struct Automaton {
  struct Edge {
    uint8_t low = 0, high = 0;
    int32_t target = 0;
  };
  struct Call {
    int32_t rule = 0;
    int32_t target = 0;  // where it goes on when the rule is done
  };
  struct State {
    std::vector<Edge> edges;
    std::vector<Call> calls;
    bool is_final = false;
  };
  std::vector<State> states;

  // Without calls: whether it takes the whole text.
  bool Matches(std::string_view text) const;
};

Result<std::shared_ptr<const Automaton>> CompileExpression(const Expressions& expressions, ExpressionId root,
                                                           WorkBudget* budget);
// Texts of both, or of the first alone; neither has calls.
Result<std::shared_ptr<const Automaton>> Intersect(const Automaton& a, const Automaton& b,
                                                   WorkBudget* budget);
Result<std::shared_ptr<const Automaton>> Subtract(const Automaton& a, const Automaton& b, WorkBudget* budget);

}  // namespace weir
