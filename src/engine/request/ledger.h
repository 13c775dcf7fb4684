// One request's account of its time: it is in exactly one stage at a time, so the stages sum to the wall time.
//
// Units     integer nanoseconds of the monotonic clock
// Threads   one writer at a time: the io thread until Submit(), the engine until the last event, then the io thread
// Source    docs/MEASUREMENT.md, "Latency ledger"
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace weir {

enum class Stage : uint8_t {
  kRecv,
  kParse,
  kTemplate,
  kTokenize,
  kAdmit,
  kHandoff,
  kQueueSlot,
  kQueueKv,
  kQueueBudget,
  kQueueFair,
  kQueueGrammar,
  kPrefill,
  kDecode,
  kStallPrefill,
  kPreempted,
  kRecompute,
  kSchedule,
  kSample,
  kDetokenize,
  kSerialize,
  kSend,
  kOutputBlocked,
  kOther,
};
inline constexpr int kNumStages = static_cast<int>(Stage::kOther) + 1;
std::string_view StageName(Stage stage);  // "queue_slot"

class Ledger {
 public:
  // Starts the account: everything before is nobody's.
  void Begin(TimePoint now, Stage stage);
  // Charges the time since the last change to the current stage, then changes it.
  void Enter(Stage stage, TimePoint now);
  // Charges to another stage than the current one: `amount` of the time since the last change, the rest as usual.
  void EnterSplit(Stage stage, TimePoint now, Stage charged, Duration amount);
  void Close(TimePoint now);
  // The account up to here is kept beside the one that goes on: what the time to the first token went into.
  void NoteFirstToken(TimePoint now);

  bool begun() const { return begun_; }
  Duration stage(Stage which) const { return stages_[static_cast<int>(which)]; }
  // Sums to first_token - started(); all zero when there was none.
  Duration to_first(Stage which) const { return to_first_[static_cast<int>(which)]; }
  Stage current() const { return current_; }
  TimePoint started() const { return started_; }
  TimePoint last_change() const { return last_change_; }
  Duration wall() const { return last_change_ - started_; }

  // The skeleton of the walk; zero time point when the request never got there.
  TimePoint parsed{}, templated{}, tokenized{}, admitted{}, scheduled{}, first_token{}, last_token{},
      written{};
  // Its part of the steps it took part in, which its tokens and those of others share: over all requests they sum to what the
  // engine was busy with.
  Duration engine_share{};
  int num_steps = 0;
  int num_changes = 0;   // of its stage: what the account itself costs
  double batch_sum = 0;  // rows of sequences in the same steps; mean = batch_sum / num_steps
  int num_preemptions = 0;
  int num_cached_tokens = 0;
  int64_t num_recomputed_tokens = 0;

 private:
  std::array<Duration, kNumStages> stages_{};
  std::array<Duration, kNumStages> to_first_{};
  TimePoint started_{};
  TimePoint last_change_{};
  Stage current_ = Stage::kOther;
  bool begun_ = false;
};

}  // namespace weir
