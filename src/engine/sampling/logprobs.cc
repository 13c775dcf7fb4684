#include "engine/sampling/logprobs.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "engine/sampling/logit_row.h"

namespace weir {

double LogSumExp(std::span<const float> logits) {
  const float maximum = FindMaximum(logits).best.logit;
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - maximum);
  return static_cast<double>(maximum) + std::log(sum);
}

TokenLogprobs LogprobsOf(std::span<const float> logits, int32_t token, int num_top) {
  CHECK(token >= 0 && static_cast<size_t>(token) < logits.size());
  TokenLogprobs result;
  result.chosen = kLowestLogprob;
  // NaN has no place in an order, and selection by a broken order may leave its buffer.
  if (!FindMaximum(logits).sound) return result;
  const double log_sum = LogSumExp(logits);
  const auto logprob = [log_sum](float logit) {
    return std::max(kLowestLogprob, static_cast<float>(static_cast<double>(logit) - log_sum));
  };
  result.chosen = logprob(logits[static_cast<size_t>(token)]);
  const int count = std::min(num_top, static_cast<int>(logits.size()));
  if (count <= 0) return result;
  std::vector<Rank> best;
  SelectBest(logits, count, &best);
  std::sort(best.begin(), best.end(), Precedes);
  result.top.reserve(best.size());
  for (const Rank& rank : best) result.top.push_back({rank.token, logprob(rank.logit)});
  return result;
}

}  // namespace weir
