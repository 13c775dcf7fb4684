#include "engine/tensor/quantize_q4_k.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/tensor/half.h"

namespace weir {
namespace {

constexpr int kGroups = kSuperBlockSize / kQuantBlockSize;
constexpr int kLargestCode = 15;
constexpr int kLargestSmallScale = 63;

// value = scale * code - min, min not below 0.
struct Step {
  float scale = 0;
  float min = 0;
};

int CodeOf(float value, const Step& step, float inverse) {
  const float code = std::nearbyint((value + step.min) * inverse);
  return static_cast<int>(std::clamp(code, 0.0f, static_cast<float>(kLargestCode)));
}

// The best scale and min for codes that are given.
Step Solve(const float* values, const int* codes) {
  double n = kQuantBlockSize, q = 0, qq = 0, x = 0, qx = 0;
  for (int i = 0; i < kQuantBlockSize; ++i) {
    const double code = codes[i];
    q += code;
    qq += code * code;
    x += double{values[i]};
    qx += code * double{values[i]};
  }
  const double determinant = n * qq - q * q;
  if (determinant > 0) {
    const Step step{static_cast<float>((n * qx - q * x) / determinant),
                    static_cast<float>((q * qx - qq * x) / determinant)};
    if (step.min >= 0 && step.scale > 0) return step;
  }
  return {qq > 0 ? static_cast<float>(std::max(0.0, qx / qq)) : 0.0f, 0.0f};
}

float ErrorOf(const float* values, const int* codes, const Step& step) {
  float error = 0;
  for (int i = 0; i < kQuantBlockSize; ++i) {
    const float difference = step.scale * static_cast<float>(codes[i]) - step.min - values[i];
    error += difference * difference;
  }
  return error;
}

Step StepOf(const float* values) {
  const auto [low, high] = std::minmax_element(values, values + kQuantBlockSize);
  const float bottom = std::min(0.0f, *low);
  const float range = *high - bottom;
  if (!(range > 0)) return {0.0f, -bottom};
  Step best{range / kLargestCode, -bottom};
  float least = std::numeric_limits<float>::infinity();
  int codes[kQuantBlockSize];
  // Steps somewhat smaller than the range needs: the extremes are cut, and the many come closer.
  constexpr int kTries = 8;
  for (int i = 0; i <= kTries; ++i) {
    const Step guess{range / (static_cast<float>(kLargestCode) + 0.4f * static_cast<float>(i)), -bottom};
    const float inverse = 1 / guess.scale;
    if (!std::isfinite(inverse)) break;
    for (int k = 0; k < kQuantBlockSize; ++k) codes[k] = CodeOf(values[k], guess, inverse);
    const Step solved = Solve(values, codes);
    const float error = ErrorOf(values, codes, solved);
    if (error >= least) continue;
    least = error;
    best = solved;
  }
  return best;
}

// A half that is not below the quotient, so that the largest small scale is not exceeded.
uint16_t UnitOf(float largest) {
  uint16_t half = FloatToHalf(largest / kLargestSmallScale);
  if (HalfToFloat(half) * kLargestSmallScale < largest) ++half;
  return half;
}

int SmallScale(float wanted, float unit) {
  return unit > 0 ? std::min(kLargestSmallScale, static_cast<int>(std::lround(wanted / unit))) : 0;
}

void PutPairs(const int* scales, const int* mins, uint8_t* out) {
  for (int g = 0; g < 4; ++g) {
    out[g] = static_cast<uint8_t>(scales[g] | scales[g + 4] >> 4 << 6);
    out[g + 4] = static_cast<uint8_t>(mins[g] | mins[g + 4] >> 4 << 6);
    out[g + 8] = static_cast<uint8_t>((scales[g + 4] & 0xf) | (mins[g + 4] & 0xf) << 4);
  }
}

}  // namespace

BlockQ4_K ToQ4_K(const float* values) {
  BlockQ4_K block{};
  Step steps[kGroups];
  Step largest;
  for (int i = 0; i < kSuperBlockSize; ++i)
    if (!std::isfinite(values[i])) {
      block.scale = FloatToHalf(std::numeric_limits<float>::quiet_NaN());
      return block;
    }
  for (int g = 0; g < kGroups; ++g) {
    steps[g] = StepOf(values + g * kQuantBlockSize);
    largest.scale = std::max(largest.scale, steps[g].scale);
    largest.min = std::max(largest.min, steps[g].min);
  }
  block.scale = UnitOf(largest.scale);
  block.min = UnitOf(largest.min);
  const float scale_unit = HalfToFloat(block.scale);
  const float min_unit = HalfToFloat(block.min);
  int scales[kGroups];
  int mins[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    scales[g] = SmallScale(steps[g].scale, scale_unit);
    mins[g] = SmallScale(steps[g].min, min_unit);
    const Step step{scale_unit * static_cast<float>(scales[g]), min_unit * static_cast<float>(mins[g])};
    const float inverse = step.scale > 0 ? 1 / step.scale : 0;
    for (int k = 0; k < kQuantBlockSize; ++k) {
      const int code = CodeOf(values[g * kQuantBlockSize + k], step, inverse);
      uint8_t& byte = block.qs[g / 2 * 32 + k];
      byte = static_cast<uint8_t>(byte | code << (g % 2 * 4));
    }
  }
  PutPairs(scales, mins, block.scales);
  return block;
}

}  // namespace weir
