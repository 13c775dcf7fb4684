// Picks one token from one row of logits.
//
// Shapes    logits [vocab_size] f32, overwritten
// Requires  params that passed Validate() for this vocabulary; forbidden ids in the vocabulary
// Errors    a row with NaN or +infinity, or without a finite value that is allowed, yields token -1: the
// request fails
//           with `numeric_error`
// Threads   engine thread only; one SamplerState per sequence
//
// Order, as in vLLM: log-probabilities of the raw row; logit bias; repetition, frequency, presence penalties;
// forbidden ids. Then greedy, or temperature, min-p, top-k, softmax over what is left, top-p inside it, and
// one draw. The draw walks the survivors in order of id, so a last-bit change of a logit moves a boundary and
// not the whole choice.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "engine/sampling/logit_row.h"
#include "engine/sampling/logprobs.h"
#include "engine/sampling/sampling_params.h"

namespace weir {

struct SampledToken {
  int32_t token = -1;
  std::unique_ptr<TokenLogprobs> logprobs;  // only when asked for
};

// What a sequence's choices depend on besides the logits: its random stream and its token counts. The stream
// is a function of (seed, output index), so a preempted and recomputed sequence continues as if nothing had
// happened.
class SamplerState {
 public:
  SamplerState(const SamplingParams& params, std::span<const int32_t> prompt);

  // `maximum`: of the row as it comes. `allowed`: one bit per token; empty allows all.
  SampledToken Sample(std::span<float> logits, const RowMaximum& maximum, int output_index,
                      std::span<const int32_t> forbidden, std::span<const uint64_t> allowed = {});
  // Counts an output token; call it once per token, never again when it is recomputed.
  void Accept(int32_t token);
  const SamplingParams& params() const { return params_; }
  uint64_t seed() const { return seed_; }

 private:
  struct Counts {
    bool in_prompt = false;
    int in_output = 0;
  };
  struct Candidate {
    Rank rank;
    float weight = 0;  // exp((logit - maximum) / temperature)
  };

  bool has_penalties() const;
  void ApplyBiasAndPenalties(std::span<float> logits) const;
  void GatherCandidates(std::span<const float> logits, Rank best);
  void CutToTopP();
  int32_t Draw(int output_index) const;

  SamplingParams params_;
  uint64_t seed_;
  std::unordered_map<int32_t, Counts> counts_;  // only ids that occurred; empty without penalties
  std::vector<Candidate> candidates_;           // ascending ids; reused
  std::vector<Candidate> selection_;            // scratch of CutToTopP
  std::vector<Rank> best_;                      // scratch of GatherCandidates
};

}  // namespace weir
