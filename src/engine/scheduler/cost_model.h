// Predicts how long a step takes: a + b x tokens + c x kv_tokens_read, with a and b per power-of-two range of
// tokens.
//
// Units     tokens of one step; KV tokens read as KvTokensRead() counts them
// Errors    none; with nothing learnt every prediction is zero, so nothing is held back that has not been
//
// Ranges, because a small step costs one sweep over the weights whatever its size, and a large one is bound
// by arithmetic: one line cannot fit both.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace weir {

class CostModel {
 public:
  Duration Predict(int num_tokens, int64_t kv_tokens_read) const;
  // A prompt of `num_tokens` alone, in chunks of at most `max_chunk`.
  Duration PredictPrefill(int num_tokens, int max_chunk) const;
  // Prompt tokens per second that steps of at most `step_budget` get through beside `num_decodes` sequences that read
  // `kv_tokens_read`; 0 while nothing is known. From the model, not from counting: short prompts would make any count low.
  double PrefillTokensPerSecond(int num_decodes, int64_t kv_tokens_read, int max_tokens,
                                Duration step_budget) const;
  // How many prompt tokens, in steps of `max_chunk`, a token of a step of `num_decodes` is worth; held in 1 to 8, and 2
  // while nothing is known.
  double DecodePrice(int num_decodes, int max_chunk) const;
  // How long a slot is held by a request of these mean lengths while all `num_seqs` are taken and others wait: the time in
  // which each of them gets through one. 0 while nothing is known. From lengths, which stay what they are when the load
  // changes; a mean of how long slots were held would be that of the quiet time before.
  double SlotSeconds(double prompt_tokens, double output_tokens, int num_seqs, int max_tokens,
                     Duration step_budget) const;
  // False: more than 8 times its prediction, so it was an accident (a page fault, another process) and is not
  // learnt.
  bool Observe(int num_tokens, int64_t kv_tokens_read, Duration actual);

 private:
  static constexpr int kNumRanges = 24;

  // Exponentially weighted moments of the steps seen in one range.
  struct Range {
    int64_t num_observed = 0;
    int num_refused = 0;  // one after another
    double tokens = 0;    // means
    double kv = 0;
    double seconds = 0;
    double variance_tokens = 0;
    double covariance = 0;  // of tokens and seconds, KV cost taken out
  };

  static int RangeOf(int num_tokens);
  double At(const Range& range, double num_tokens, double kv_tokens) const;
  double PredictSeconds(int num_tokens, double kv_tokens) const;
  void Learn(Range& range, double num_tokens, double kv_tokens, double seconds);

  std::array<Range, kNumRanges> ranges_{};
  // c is one number for all ranges: reading a KV token costs the same whoever reads it.
  double kv_variance_ = 0;
  double kv_covariance_ = 0;
  double kv_cost_ = 0;
};

}  // namespace weir
