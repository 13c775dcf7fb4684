// Log-probabilities of one row of raw logits: what the model itself says, before bias, penalties, temperature
// and truncation.
//
// Shapes    logits [vocab_size] f32
// Requires  token in the vocabulary; LogSumExp: a row that FindMaximum() calls sound
// Errors    none; what a mask made impossible reads kLowestLogprob, because JSON has no infinity, and so does
//           every token of an unsound row, which has no top
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weir {

inline constexpr int kMaxLogprobs = 20;
inline constexpr float kLowestLogprob = -9999.0f;

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;
};

struct TokenLogprobs {
  float chosen = 0;               // log-probability of the chosen token, before temperature and truncation
  std::vector<TokenLogprob> top;  // most likely first, ties by id
};

// ln of the sum of exp(logits).
double LogSumExp(std::span<const float> logits);

// Also scores a given token (a prompt's, with echo), not only a sampled one.
TokenLogprobs LogprobsOf(std::span<const float> logits, int32_t token, int num_top);

}  // namespace weir
