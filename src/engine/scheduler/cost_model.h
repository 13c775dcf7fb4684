// Predicts how long a step takes: a + b x tokens + c x kv_tokens_read, with a and b per kind of step and power-of-two
// range of tokens.
//
// Units     tokens of one step; KV tokens read as KvTokensRead() counts them
// Errors    none; with nothing learnt every prediction is zero, so nothing is held back that has not been
//
// Ranges, because a small step costs one sweep over the weights whatever its size, and a large one is bound
// by arithmetic: one line cannot fit both. Kinds, because the tokens of prompts are computed by kernels of their own:
// the first of them costs a sweep more.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"
#include "engine/scheduler/step_kind.h"

namespace weir {

class CostModel {
 public:
  Duration Predict(int num_tokens, int64_t kv_tokens_read, StepKind kind = StepKind::kWithPrompts) const;
  // A prompt of `num_tokens` alone, in chunks of at most `max_chunk`.
  Duration PredictPrefill(int num_tokens, int max_chunk) const;
  // How long a step with prompts may take beside these decodes: the objective, or half as long again as the shortest such
  // step, because small pieces of prompts are the dearest per token. What is promised is that a stream's p99 stays within twice
  // the objective. Where even the shortest step breaks that, or the decodes alone the objective, it is void: three times as
  // long as that step then, or slots would stay empty for want of prompts. In the second case only if `prompts_queue`: one
  // prompt alone keeps no slot empty, and then twice the objective still holds.
  Duration StepBudget(int num_decodes, int64_t kv_tokens_read, Duration itl_objective,
                      bool prompts_queue) const;
  // Prompt tokens per second that steps within their budget get through beside `num_decodes` sequences that read
  // `kv_tokens_read`; 0 while nothing is known. From the model, not from counting: short prompts would make any count low.
  double PrefillTokensPerSecond(int num_decodes, int64_t kv_tokens_read, int max_tokens,
                                Duration itl_objective) const;
  // How many prompt tokens, in steps of `max_chunk`, a token of a step of `num_decodes` is worth; held in 1 to 8, and 2
  // while nothing is known.
  double DecodePrice(int num_decodes, int max_chunk) const;
  // How long a slot is held by a request of these mean lengths while all `num_seqs` are taken and others wait: the time in
  // which each of them gets through one. 0 while nothing is known. From lengths, which stay what they are when the load
  // changes; a mean of how long slots were held would be that of the quiet time before.
  double SlotSeconds(double prompt_tokens, double output_tokens, int num_seqs, int max_tokens,
                     Duration itl_objective) const;
  // How long one output token takes of a request that runs beside `num_others` of these mean lengths, while each that ends is
  // followed by the next and its prompt. 0 while nothing is known.
  double TokenSeconds(double prompt_tokens, double output_tokens, int num_others, int max_tokens,
                      Duration itl_objective) const;
  // False: more than 8 times its prediction, so it was an accident (a page fault, another process) and is not
  // learnt. More than twice counts as twice, until several are so.
  bool Observe(int num_tokens, int64_t kv_tokens_read, Duration actual,
               StepKind kind = StepKind::kWithPrompts);

  // What reading a KV token adds to a step with prompts, from two steps that differ in nothing else. Before anything is
  // observed: later ones correct it, but a first long prompt would find it unknown.
  void SeedKvCost(int64_t kv_tokens_read, Duration with, Duration without);

  // A piece of a prompt as large as this is computed whatever it costs, so that prompts never starve.
  static constexpr int kSmallestPiece = 16;

 private:
  static constexpr int kNumRanges = 24;

  // Exponentially weighted moments of the steps seen in one range.
  struct Range {
    StepKind kind = StepKind::kWithPrompts;
    int64_t num_observed = 0;
    int num_refused = 0;  // one after another
    int num_late = 0;     // the same
    double tokens = 0;    // means
    double kv = 0;
    double seconds = 0;
    double variance_tokens = 0;
    double covariance = 0;  // of tokens and seconds, KV cost taken out
  };

  using Ranges = std::array<Range, kNumRanges>;

  // What `num_prompts` prompts cost beside `num_seqs` sequences that generate.
  struct Turn {
    double prompt_seconds = 0;
    double steps_with_prompts = 0;
    double decode_step_seconds = 0;  // of a step without any
  };
  Turn TurnOf(double prompt_tokens, double output_tokens, int num_prompts, int num_seqs, int max_tokens,
              Duration itl_objective) const;

  static int RangeOf(int num_tokens);
  // What is known of steps of this size: of their own kind, else of the other. Null: nothing.
  const Range* Known(int index, StepKind kind) const;
  // Without the KV that is read.
  double At(const Range& range, double num_tokens) const;
  double PredictSeconds(int num_tokens, double kv_tokens, StepKind kind) const;
  void Learn(Range& range, double num_tokens, double kv_tokens, double seconds);

  std::array<Ranges, 2> ranges_{};  // by StepKind
  // c, seconds per token; learnt from steps with prompts. Decodes of one batch differ by a few tokens only, and what theirs
  // cost is in the mean of their range.
  double kv_variance_ = 0;
  double kv_covariance_ = 0;
  double kv_cost_ = 0;
};

}  // namespace weir
