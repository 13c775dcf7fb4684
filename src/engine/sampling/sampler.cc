#include "engine/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace weir {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A stream of its own for every (seed, index). The seed is mixed first: neighbouring seeds must not become
// neighbouring indices. The multiplier is odd and not the generator's own increment, which would make streams
// overlap.
double UniformOf(uint64_t seed, int output_index) {
  const uint64_t mixed = Rng(seed).Next();
  return Rng(mixed + static_cast<uint64_t>(output_index) * 0xd1342543de82ef95ULL).NextDouble();
}

void Mask(std::span<float> logits, std::span<const uint64_t> allowed) {
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!((allowed[i / 64] >> (i % 64)) & 1)) logits[i] = -kInfinity;
  }
}

float Penalized(float logit, float repetition, float subtracted) {
  if (!std::isfinite(logit)) return logit;
  const float scaled = (logit > 0 ? logit / repetition : logit * repetition) - subtracted;
  // A repetition penalty near 0 overflows; the largest finite value keeps the order and the arithmetic after
  // it.
  return std::clamp(scaled, std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max());
}

}  // namespace

SamplerState::SamplerState(const SamplingParams& params, std::span<const int32_t> prompt)
    : params_(params), seed_(params.seed ? *params.seed : RandomSeed()) {
  if (params_.repetition_penalty == 1.0f) return;
  for (const int32_t token : prompt) counts_[token].in_prompt = true;
}

bool SamplerState::has_penalties() const {
  return params_.repetition_penalty != 1.0f || params_.presence_penalty != 0.0f ||
         params_.frequency_penalty != 0.0f;
}

void SamplerState::Accept(int32_t token) {
  if (has_penalties()) ++counts_[token].in_output;
}

void SamplerState::ApplyBiasAndPenalties(std::span<float> logits) const {
  for (const auto& [token, bias] : params_.logit_bias) logits[static_cast<size_t>(token)] += bias;
  if (!has_penalties()) return;
  for (const auto& [token, counts] : counts_) {
    const float subtracted = params_.frequency_penalty * static_cast<float>(counts.in_output) +
                             (counts.in_output > 0 ? params_.presence_penalty : 0.0f);
    float& logit = logits[static_cast<size_t>(token)];
    logit = Penalized(logit, params_.repetition_penalty, subtracted);
  }
}

SampledToken SamplerState::Sample(std::span<float> logits, const RowMaximum& raw_maximum, int output_index,
                                  std::span<const int32_t> forbidden, std::span<const uint64_t> allowed) {
  SampledToken result;
  if (!raw_maximum.sound) return result;

  // The raw row is gone once penalties are in it, and the choice is not known before; so the row's sum and
  // its best are taken now, with any token, and the chosen one is scored from the values that were
  // overwritten.
  std::unique_ptr<TokenLogprobs> logprobs;
  double log_sum = 0;
  std::vector<Rank> overwritten;
  if (params_.num_logprobs >= 0) {
    logprobs = std::make_unique<TokenLogprobs>(LogprobsOf(logits, 0, params_.num_logprobs));
    log_sum = LogSumExp(logits);
    const auto keep = [&](int32_t token) {
      overwritten.push_back({logits[static_cast<size_t>(token)], token});
    };
    for (const auto& [token, bias] : params_.logit_bias) keep(token);
    for (const auto& [token, counts] : counts_) keep(token);
    for (const int32_t token : forbidden) keep(token);
  }

  ApplyBiasAndPenalties(logits);
  for (const int32_t token : forbidden) logits[static_cast<size_t>(token)] = -kInfinity;
  if (!allowed.empty()) Mask(logits, allowed);
  const bool is_raw = params_.logit_bias.empty() && !has_penalties() && forbidden.empty() && allowed.empty();
  const RowMaximum maximum = is_raw ? raw_maximum : FindMaximum(logits);
  if (!maximum.sound) return result;

  if (params_.greedy()) {
    result.token = maximum.best.token;
  } else {
    GatherCandidates(logits, maximum.best);
    if (params_.top_p < 1.0f) CutToTopP();
    result.token = Draw(output_index);
  }

  if (logprobs != nullptr) {
    float raw = logits[static_cast<size_t>(result.token)];
    for (const Rank& rank : overwritten) {
      if (rank.token == result.token) raw = rank.logit;
    }
    logprobs->chosen = std::max(kLowestLogprob, static_cast<float>(static_cast<double>(raw) - log_sum));
    result.logprobs = std::move(logprobs);
  }
  return result;
}

void SamplerState::GatherCandidates(std::span<const float> logits, Rank best) {
  // p >= min_p * p_max, said in logits, so that it needs no sum.
  float floor = -kInfinity;
  if (params_.min_p > 0.0f) floor = best.logit + params_.temperature * std::log(params_.min_p);
  Rank worst{-kInfinity, std::numeric_limits<int32_t>::max()};
  if (params_.top_k > 0 && static_cast<size_t>(params_.top_k) < logits.size()) {
    SelectBest(logits, params_.top_k, &best_);
    worst = *std::max_element(best_.begin(), best_.end(), Precedes);
  }
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const Rank rank{logits[i], static_cast<int32_t>(i)};
    if (rank.logit < floor || rank.logit == -kInfinity || Precedes(worst, rank)) continue;
    candidates_.push_back({rank, std::exp((rank.logit - best.logit) / params_.temperature)});
  }
}

// Keeps the fewest of the best whose mass reaches top_p: selection by mass, halving the undecided part each
// time, so the work is linear and nothing but the last few is sorted.
void SamplerState::CutToTopP() {
  const auto precedes = [](const Candidate& a, const Candidate& b) { return Precedes(a.rank, b.rank); };
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  const double target = static_cast<double>(params_.top_p) * total;

  selection_ = candidates_;
  double mass = 0;  // of all before `first`
  auto first = selection_.begin();
  auto last = selection_.end();
  while (last - first > 32) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last, precedes);
    double upper = 0;
    for (auto it = first; it != middle; ++it) upper += it->weight;
    if (mass + upper >= target) {
      last = middle;
    } else {
      mass += upper;
      first = middle;
    }
  }
  std::sort(first, last, precedes);
  auto cut = first;
  while (cut + 1 != last && mass + cut->weight < target) {
    mass += cut->weight;
    ++cut;
  }
  const Rank worst = cut->rank;
  std::erase_if(candidates_, [&](const Candidate& candidate) { return Precedes(worst, candidate.rank); });
}

int32_t SamplerState::Draw(int output_index) const {
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  const double target = UniformOf(seed_, output_index) * total;
  double mass = 0;
  int32_t last_possible = candidates_.front().rank.token;
  for (const Candidate& candidate : candidates_) {
    if (candidate.weight == 0) continue;
    last_possible = candidate.rank.token;
    mass += candidate.weight;
    if (mass > target) break;
  }
  return last_possible;
}

}  // namespace weir
