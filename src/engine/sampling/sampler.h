// Picks one token from one row of logits.
//
// Shapes    logits [vocab_size] f32, overwritten by penalties and bias
// Errors    a row with NaN, or without a finite value, yields token -1: the request fails with `numeric_error`
// Threads   engine thread only; one SamplerState per sequence
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "engine/sampling/sampling_params.h"

namespace weir {

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;
};

struct TokenLogprobs {
  float chosen = 0;                 // log-probability of the chosen token, before temperature and truncation
  std::vector<TokenLogprob> top;    // most likely first
};

struct SampledToken {
  int32_t token = -1;
  std::unique_ptr<TokenLogprobs> logprobs;  // only when asked for
};

// What a sequence's choices depend on besides the logits: its random stream and its token counts. The stream is a
// function of (seed, output index), so a preempted and recomputed sequence continues as if nothing had happened.
class SamplerState {
 public:
  SamplerState(const SamplingParams& params, std::span<const int32_t> prompt);

  SampledToken Sample(std::span<float> logits, int output_index, std::span<const int32_t> forbidden);
  void Accept(int32_t token);
  const SamplingParams& params() const { return params_; }
  uint64_t seed() const { return seed_; }

 private:
  struct Counts {
    bool in_prompt = false;
    int in_output = 0;
  };
  SamplingParams params_;
  uint64_t seed_;
  std::unordered_map<int32_t, Counts> counts_;
  std::vector<std::pair<float, int32_t>> candidates_;  // reused
};

}  // namespace weir
