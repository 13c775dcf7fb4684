// Rules by name, then all of them at once as a grammar.
//
// Requires  every declared rule is defined before Build()
// Errors    INVALID_ARGUMENT "unsupported_schema": too many rules, or as WorkBudget and Grammar
// Threads   one compilation, one thread
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/grammar/expression.h"
#include "engine/grammar/grammar.h"
#include "engine/grammar/work_budget.h"

namespace weir {

class GrammarBuilder {
 public:
  Expressions& expressions() { return expressions_; }
  WorkBudget* budget() { return &budget_; }

  // The name is for messages.
  Result<int> Declare(std::string name);
  void Define(int rule, ExpressionId body) { bodies_[static_cast<size_t>(rule)] = body; }
  // Of the text as JSON: see Grammar::has_free_keys().
  void AllowFreeKeys() { has_free_keys_ = true; }
  Result<std::shared_ptr<Grammar>> Build(int root, std::shared_ptr<const GrammarVocabulary> vocabulary);

 private:
  Expressions expressions_;
  WorkBudget budget_;
  bool has_free_keys_ = false;
  std::vector<std::string> names_;
  std::vector<ExpressionId> bodies_;
};

}  // namespace weir
