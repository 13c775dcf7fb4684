#include "engine/sampling/logit_row.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"

namespace weir {
namespace {

// Independent lanes let the compiler use vector maxima, which one running maximum of floats forbids.
constexpr size_t kLanes = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

RowMaximum FindMaximum(std::span<const float> logits) {
  std::array<float, kLanes> highest;
  highest.fill(-kInfinity);
  std::array<int32_t, kLanes> unsound{};
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float value = logits[i + lane];
      unsound[lane] |= !(value < kInfinity);  // NaN compares false
      highest[lane] = value > highest[lane] ? value : highest[lane];
    }
  }
  for (; i < logits.size(); ++i) {
    unsound[0] |= !(logits[i] < kInfinity);
    highest[0] = logits[i] > highest[0] ? logits[i] : highest[0];
  }

  RowMaximum result;
  result.best.logit = *std::max_element(highest.begin(), highest.end());
  result.sound = result.best.logit > -kInfinity &&
                 std::all_of(unsound.begin(), unsound.end(), [](int32_t flag) { return flag == 0; });
  if (!result.sound) return result;
  // The first of equals: ties go to the lower id.
  const auto first = std::find(logits.begin(), logits.end(), result.best.logit);
  result.best.token = static_cast<int32_t>(first - logits.begin());
  return result;
}

void SelectBest(std::span<const float> logits, int k, std::vector<Rank>* best) {
  CHECK(k >= 1 && static_cast<size_t>(k) <= logits.size());
  best->clear();
  // Collect twice k, keep the better half, raise the threshold: a row costs one pass and a few small
  // selections.
  const size_t kept = static_cast<size_t>(k);
  const size_t capacity = std::max<size_t>(2 * kept, 128);
  best->reserve(capacity);
  float threshold = -kInfinity;
  const auto prune = [&] {
    std::nth_element(best->begin(), best->begin() + (k - 1), best->end(), Precedes);
    best->resize(kept);
    threshold = best->back().logit;
  };
  for (size_t token = 0; token < logits.size(); ++token) {
    const float logit = logits[token];
    // Once k are kept, an equal of the worst kept has a higher id and loses.
    if (best->size() >= kept && !(logit > threshold)) continue;
    best->push_back({logit, static_cast<int32_t>(token)});
    if (best->size() == capacity) prune();
  }
  if (best->size() > kept) prune();
}

}  // namespace weir
