#include "engine/request/ledger.h"

#include <algorithm>

namespace weir {

std::string_view StageName(Stage stage) {
  static constexpr std::array<std::string_view, kNumStages> kNames = {
      "recv",       "parse",         "template",     "tokenize",       "admit",         "handoff",
      "queue_slot", "queue_kv",      "queue_budget", "queue_fair",     "queue_grammar", "prefill",
      "decode",     "stall_prefill", "preempted",    "recompute",      "schedule",      "sample",
      "detokenize", "serialize",     "send",         "output_blocked", "other"};
  return kNames[static_cast<int>(stage)];
}

void Ledger::Begin(TimePoint now, Stage stage) {
  stages_ = {};
  started_ = now;
  last_change_ = now;
  current_ = stage;
  begun_ = true;
}

void Ledger::Enter(Stage stage, TimePoint now) { EnterSplit(stage, now, stage, Duration::zero()); }

void Ledger::EnterSplit(Stage stage, TimePoint now, Stage charged, Duration amount) {
  if (!begun_) return Begin(now, stage);
  // Readings of two threads may cross by nanoseconds; a stage is never negative and none is counted twice.
  now = std::max(now, last_change_);
  const Duration elapsed = now - last_change_;
  amount = std::clamp(amount, Duration::zero(), elapsed);
  stages_[static_cast<int>(charged)] += amount;
  stages_[static_cast<int>(current_)] += elapsed - amount;
  last_change_ = now;
  current_ = stage;
  ++num_changes;
}

void Ledger::NoteFirstToken(TimePoint now) {
  Enter(current_, now);
  to_first_ = stages_;
  first_token = last_change_;
}

void Ledger::Close(TimePoint now) { Enter(current_, now); }

}  // namespace weir
