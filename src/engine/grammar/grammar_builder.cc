#include "engine/grammar/grammar_builder.h"

#include <fmt/format.h>

#include "base/check.h"

namespace weir {

Result<int> GrammarBuilder::Declare(std::string name) {
  if (names_.size() >= WorkBudget::kMaxRules) {
    return GrammarError(fmt::format("the schema has more than {} parts", WorkBudget::kMaxRules));
  }
  names_.push_back(std::move(name));
  bodies_.push_back(-1);
  return static_cast<int>(names_.size() - 1);
}

Result<std::shared_ptr<Grammar>> GrammarBuilder::Build(int root,
                                                       std::shared_ptr<const GrammarVocabulary> vocabulary) {
  std::vector<std::shared_ptr<const Automaton>> rules;
  for (const ExpressionId body : bodies_) {
    CHECK(body >= 0);
    WEIR_ASSIGN_OR_RETURN(std::shared_ptr<const Automaton> rule,
                          CompileExpression(expressions_, body, &budget_));
    rules.push_back(std::move(rule));
  }
  WEIR_ASSIGN_OR_RETURN(std::shared_ptr<Grammar> grammar,
                        Grammar::Create(rules, names_, root, std::move(vocabulary)));
  grammar->set_has_free_keys(has_free_keys_);
  return grammar;
}

}  // namespace weir
