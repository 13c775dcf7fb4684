// What compiling a grammar may cost: counted, not timed, so that the same grammar always compiles or never does.
//
// Errors    Spend: INVALID_ARGUMENT "unsupported_schema" once the steps are used up
// Threads   one compilation, one thread
#pragma once

#include <cstdint>

#include "base/status.h"

namespace weir {

inline Status GrammarError(std::string message) {
  return InvalidArgument(std::move(message)).WithReason("unsupported_schema");
}

class WorkBudget {
 public:
  static constexpr int64_t kMaxSteps = 6'000'000;
  static constexpr int kMaxStates = 100'000;  // of all automata together
  static constexpr int kMaxRules = 2000;
  static constexpr int kMaxRepeat = 2000;

  explicit WorkBudget(int64_t steps = kMaxSteps) : steps_left_(steps) {}

  Status Spend(int64_t steps) {
    steps_left_ -= steps;
    if (steps_left_ >= 0) return OkStatus();
    return GrammarError("the schema takes more work to compile than is allowed; make it smaller");
  }
  Status AddStates(int64_t count) {
    states_ += count;
    if (states_ <= kMaxStates) return OkStatus();
    return GrammarError(
        "the schema needs more than 100000 states; use smaller bounds, fewer optional "
        "properties or simpler patterns");
  }

 private:
  int64_t steps_left_;
  int64_t states_ = 0;
};

}  // namespace weir
