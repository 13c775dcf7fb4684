// How a request wants its next token chosen.
//
// Requires  ranges as validated by Validate(): the engine trusts them afterwards
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/status.h"

namespace weir {

struct SamplingParams {
  float temperature = 1.0f;  // 0: greedy, ties to the lower id
  int top_k = 0;             // 0 or -1: off
  float top_p = 1.0f;
  float min_p = 0.0f;
  float repetition_penalty = 1.0f;  // over prompt and output
  float presence_penalty = 0.0f;    // over output
  float frequency_penalty = 0.0f;   // over output
  std::optional<uint64_t> seed;     // without one the engine draws one
  std::vector<std::pair<int32_t, float>> logit_bias;
  // Token sequences that the output must not hold: the last token is forbidden where the others came before.
  std::vector<std::vector<int32_t>> bad_words;
  int num_logprobs = -1;  // -1: none; 0: the chosen token only; n: also the n most likely

  bool greedy() const { return temperature == 0.0f; }
};

// INVALID_ARGUMENT with param set when a number is outside its range.
Status Validate(const SamplingParams& params, int vocab_size);

}  // namespace weir
