#include "engine/scheduler/cost_model.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace weir {
namespace {

constexpr double kWeight = 0.05;
// The KV term is small against the noise of a step, so it is averaged over more of them.
constexpr double kKvWeight = 0.01;
constexpr double kAccident = 8.0;
// So many accidents one after another are no accident: the machine has changed, or the first steps were odd.
constexpr int kMaxRefused = 16;
// A machine can be made slower by others, never faster: so far below its prediction, what was learnt was the accident.
constexpr double kMistaken = 4.0;
// A step later than this was held up by something else, most likely once: it counts as this late, or a single one would make
// all others of its size look a fifth slower. So many one after another are how steps are now.
constexpr double kLate = 2.0;
constexpr int kMaxLate = 4;
constexpr int64_t kNumToTrust = 4;  // fewer steps than these cannot tell what is late
// Below this relative spread of token counts a slope would be noise.
constexpr double kMinSpread = 0.05;

}  // namespace

int CostModel::RangeOf(int num_tokens) {
  return std::min(kNumRanges - 1,
                  static_cast<int>(std::bit_width(static_cast<unsigned>(std::max(1, num_tokens)))) - 1);
}

double CostModel::At(const Range& range, double num_tokens) const {
  const double base = std::max(0.0, range.seconds - kv_cost_ * range.kv);
  const double proportional = base / range.tokens;
  double slope = 0;
  if (range.variance_tokens > kMinSpread * kMinSpread * range.tokens * range.tokens) {
    slope = std::clamp(range.covariance / range.variance_tokens, 0.0, proportional);
  } else if (num_tokens > range.tokens) {
    slope = proportional;  // not known: the careful assumption
  }
  return std::max(0.0, base + slope * (num_tokens - range.tokens));
}

const CostModel::Range* CostModel::Known(int index, StepKind kind) const {
  const auto own = static_cast<size_t>(kind);
  for (const size_t which : {own, 1 - own}) {
    if (ranges_[which][index].num_observed > 0) return &ranges_[which][index];
  }
  return nullptr;
}

double CostModel::PredictSeconds(int num_tokens, double kv_tokens, StepKind kind) const {
  const int index = RangeOf(num_tokens);
  const double kv_part = kv_cost_ * kv_tokens;
  if (const Range* known = Known(index, kind)) return At(*known, num_tokens) + kv_part;
  int below = index - 1;
  while (below >= 0 && Known(below, kind) == nullptr) --below;
  int above = index + 1;
  while (above < kNumRanges && Known(above, kind) == nullptr) ++above;
  const Range* low = below >= 0 ? Known(below, kind) : nullptr;
  const Range* high = above < kNumRanges ? Known(above, kind) : nullptr;
  if (low == nullptr && high == nullptr) return 0;
  if (low != nullptr && high != nullptr) {
    const double low_seconds = At(*low, low->tokens);
    const double high_seconds = std::max(low_seconds, At(*high, high->tokens));
    const double share = (num_tokens - low->tokens) / (high->tokens - low->tokens);
    return low_seconds + share * (high_seconds - low_seconds) + kv_part;
  }
  const Range* known = low != nullptr ? low : high;
  return At(*known, known->tokens) * num_tokens / known->tokens + kv_part;
}

Duration CostModel::Predict(int num_tokens, int64_t kv_tokens_read, StepKind kind) const {
  if (num_tokens <= 0) return Duration::zero();
  return FromSeconds(PredictSeconds(num_tokens, static_cast<double>(kv_tokens_read), kind));
}

Duration CostModel::PredictPrefill(int num_tokens, int max_chunk) const {
  if (num_tokens <= 0) return Duration::zero();
  const int chunk = std::max(1, std::min(num_tokens, max_chunk));
  const int num_full = num_tokens / chunk;
  const int rest = num_tokens - num_full * chunk;
  const double all_kv = 0.5 * num_tokens * (num_tokens + 1.0);
  double seconds = num_full * PredictSeconds(chunk, 0, StepKind::kWithPrompts) + kv_cost_ * all_kv;
  if (rest > 0) seconds += PredictSeconds(rest, 0, StepKind::kWithPrompts);
  return FromSeconds(seconds);
}

Duration CostModel::StepBudget(int num_decodes, int64_t kv_tokens_read, Duration itl_objective,
                               bool prompts_queue) const {
  const Duration shortest = Predict(num_decodes + kSmallestPiece, kv_tokens_read);
  const Duration alone = Predict(num_decodes, kv_tokens_read, StepKind::kDecodesOnly);
  if ((prompts_queue && alone > itl_objective) || shortest > 2 * itl_objective) return 3 * shortest;
  // Half as long again, but not where that would take away from the room for what no prediction knows.
  return std::max({itl_objective, shortest, std::min(shortest, itl_objective) * 3 / 2});
}

double CostModel::PrefillTokensPerSecond(int num_decodes, int64_t kv_tokens_read, int max_tokens,
                                         Duration itl_objective) const {
  const double kv = static_cast<double>(kv_tokens_read);
  const double budget = ToSeconds(StepBudget(num_decodes, kv_tokens_read, itl_objective, true));
  double best = 0;
  for (int chunk = kSmallestPiece;; chunk *= 2) {
    const int count = std::max(1, std::min(chunk, max_tokens - num_decodes));
    const double seconds = PredictSeconds(num_decodes + count, kv, StepKind::kWithPrompts);
    if (seconds <= 0) return 0;
    if (chunk > kSmallestPiece && seconds > budget) return best;
    best = std::max(best, count / seconds);
    if (count < chunk || chunk >= max_tokens) return best;
  }
}

CostModel::Turn CostModel::TurnOf(double prompt_tokens, double output_tokens, int num_prompts, int num_seqs,
                                  int max_tokens, Duration itl_objective) const {
  const double kv = num_seqs * (prompt_tokens + 0.5 * output_tokens);
  const auto kv_tokens = static_cast<int64_t>(kv);
  const double rate = PrefillTokensPerSecond(num_seqs, kv_tokens, max_tokens, itl_objective);
  if (rate <= 0) return {};
  const double budget = ToSeconds(StepBudget(num_seqs, kv_tokens, itl_objective, true));
  int chunk = kSmallestPiece;
  while (2 * chunk + num_seqs <= max_tokens &&
         PredictSeconds(num_seqs + 2 * chunk, kv, StepKind::kWithPrompts) <= budget) {
    chunk *= 2;
  }
  return {.prompt_seconds = num_prompts * prompt_tokens / rate,
          .steps_with_prompts = num_prompts * prompt_tokens / chunk,
          .decode_step_seconds = PredictSeconds(num_seqs, kv, StepKind::kDecodesOnly)};
}

double CostModel::SlotSeconds(double prompt_tokens, double output_tokens, int num_seqs, int max_tokens,
                              Duration itl_objective) const {
  if (prompt_tokens + output_tokens <= 0) return 0;
  const int count = std::max(1, num_seqs);
  const Turn turn = TurnOf(prompt_tokens, output_tokens, count, count, max_tokens, itl_objective);
  // While prompts are computed the others' tokens come along; what they need beyond that has steps of its own.
  return turn.prompt_seconds +
         std::max(0.0, output_tokens - turn.steps_with_prompts) * turn.decode_step_seconds;
}

double CostModel::TokenSeconds(double prompt_tokens, double output_tokens, int num_others, int max_tokens,
                               Duration itl_objective) const {
  const int others = std::max(0, num_others);
  const Turn turn = TurnOf(prompt_tokens, output_tokens, others, others + 1, max_tokens, itl_objective);
  // All steps of a turn, those with prompts and those without; where prompts never cease, they are all of the first kind.
  const double num_steps = std::max({1.0, output_tokens, turn.steps_with_prompts});
  return (turn.prompt_seconds + (num_steps - turn.steps_with_prompts) * turn.decode_step_seconds) / num_steps;
}

double CostModel::DecodePrice(int num_decodes, int max_chunk) const {
  const int count = std::max(1, num_decodes);
  const int chunk = std::max(1, max_chunk);
  const double decode = PredictSeconds(count, 0, StepKind::kDecodesOnly) / count;
  const double prefill = PredictSeconds(chunk, 0, StepKind::kWithPrompts) / chunk;
  return decode > 0 && prefill > 0 ? std::clamp(decode / prefill, 1.0, 8.0) : 2.0;
}

bool CostModel::Observe(int num_tokens, int64_t kv_tokens_read, Duration actual, StepKind kind) {
  if (num_tokens <= 0 || actual <= Duration::zero()) return true;
  Range& range = ranges_[static_cast<size_t>(kind)][RangeOf(num_tokens)];
  double seconds = ToSeconds(actual);
  const double kv = static_cast<double>(kv_tokens_read);
  const auto predicted = [&] { return At(range, num_tokens) + kv_cost_ * kv; };
  if (range.num_observed > 0 && seconds > kAccident * predicted()) {
    if (++range.num_refused < kMaxRefused) return false;
    range = Range{};
  }
  if (range.num_observed > 0 && kMistaken * seconds < predicted()) range = Range{};
  const bool is_late = range.num_observed >= kNumToTrust && seconds > kLate * predicted();
  range.num_late = is_late ? range.num_late + 1 : 0;
  if (is_late && range.num_late < kMaxLate) seconds = kLate * predicted();
  range.kind = kind;
  range.num_refused = 0;
  Learn(range, num_tokens, kv, seconds);
  return true;
}

void CostModel::SeedKvCost(int64_t kv_tokens_read, Duration with, Duration without) {
  const double kv = static_cast<double>(kv_tokens_read);
  const double seconds = ToSeconds(with);
  if (kv <= 0 || seconds <= 0) return;
  kv_cost_ = std::max(0.0, ToSeconds(with - without)) / kv;
  // As much evidence as steps that differ by these tokens.
  kv_variance_ = kv * kv / (seconds * seconds);
  kv_covariance_ = kv_cost_ * kv_variance_;
}

void CostModel::Learn(Range& range, double num_tokens, double kv_tokens, double seconds) {
  // A plain mean at first, an exponential one once there is enough to average.
  const double weight = std::max(kWeight, 1.0 / static_cast<double>(++range.num_observed));
  const double d_tokens = num_tokens - range.tokens;
  const double d_kv = kv_tokens - range.kv;
  const double d_seconds = seconds - range.seconds;
  if (range.num_observed > 1 && range.kind == StepKind::kWithPrompts) {
    const double slope =
        range.variance_tokens > 0 ? std::max(0.0, range.covariance / range.variance_tokens) : 0.0;
    const double residual = d_seconds - slope * d_tokens;
    // Long steps have the larger noise: each counts by its relative deviation.
    const double importance = 1.0 / (range.seconds * range.seconds);
    kv_variance_ += kKvWeight * (importance * d_kv * d_kv - kv_variance_);
    kv_covariance_ += kKvWeight * (importance * d_kv * residual - kv_covariance_);
    if (kv_variance_ > 0) kv_cost_ = std::max(0.0, kv_covariance_ / kv_variance_);
  }
  // Noise of steps that differ by a few tokens only can look like an enormous price. But no step is
  // shorter than its share of reading KV.
  for (const Range& known : ranges_[static_cast<size_t>(range.kind)]) {
    if (known.num_observed > 0 && known.kv > 0) kv_cost_ = std::min(kv_cost_, known.seconds / known.kv);
  }
  range.tokens += weight * d_tokens;
  range.kv += weight * d_kv;
  range.seconds += weight * d_seconds;
  range.variance_tokens = (1 - weight) * (range.variance_tokens + weight * d_tokens * d_tokens);
  range.covariance = (1 - weight) * (range.covariance + weight * d_tokens * (d_seconds - kv_cost_ * d_kv));
}

}  // namespace weir
