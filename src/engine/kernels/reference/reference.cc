#include "engine/kernels/reference/reference.h"

#include <algorithm>
#include <cmath>

namespace weir::reference {
namespace {

constexpr size_t kBlock = 32;

}  // namespace

QuantizedRow Quantize(std::span<const float> x) {
  QuantizedRow row;
  for (size_t first = 0; first < x.size(); first += kBlock) {
    float largest = 0;
    for (size_t i = first; i < first + kBlock; ++i) largest = std::max(largest, std::fabs(x[i]));
    const float scale = largest < 1e-30f ? 0.0f : largest / 127.0f;
    const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
    int sum = 0;
    for (size_t i = first; i < first + kBlock; ++i) {
      const int code = static_cast<int>(std::nearbyint(x[i] * inverse));
      row.codes.push_back(code);
      sum += code;
    }
    row.scales.push_back(scale);
    row.sums.push_back(sum);
  }
  return row;
}

Dot DotProduct(std::span<const float> w, std::span<const float> x) {
  Dot dot;
  for (size_t i = 0; i < w.size(); ++i) {
    const double term = static_cast<double>(w[i]) * static_cast<double>(x[i]);
    dot.sum += term;
    dot.magnitude += std::fabs(term);
  }
  return dot;
}

Dot DotProduct(std::span<const float> w, const QuantizedRow& x) {
  Dot dot;
  for (size_t i = 0; i < w.size(); ++i) {
    const double term = static_cast<double>(w[i]) * x.codes[i] * static_cast<double>(x.scales[i / kBlock]);
    dot.sum += term;
    dot.magnitude += std::fabs(term);
  }
  return dot;
}

double QuantizationError(std::span<const float> w, const QuantizedRow& x) {
  double error = 0;
  for (size_t i = 0; i < w.size(); ++i)
    error += 0.5 * static_cast<double>(x.scales[i / kBlock]) * std::fabs(static_cast<double>(w[i]));
  return error;
}

std::vector<double> RmsNorm(std::span<const float> x, std::span<const float> weight, double epsilon) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
  const double factor = 1.0 / std::sqrt(sum / static_cast<double>(x.size()) + epsilon);
  std::vector<double> out;
  for (size_t i = 0; i < x.size(); ++i)
    out.push_back(static_cast<double>(x[i]) * factor * static_cast<double>(weight[i]));
  return out;
}

double SiluMultiply(double gate, double up) { return gate / (1.0 + std::exp(-gate)) * up; }

std::vector<double> Rope(std::span<const float> x, int position, double theta) {
  std::vector<double> out(x.size());
  for (size_t i = 0; i + 1 < x.size(); i += 2) {
    const double angle = position * std::pow(theta, -static_cast<double>(i) / static_cast<double>(x.size()));
    out[i] = x[i] * std::cos(angle) - x[i + 1] * std::sin(angle);
    out[i + 1] = x[i] * std::sin(angle) + x[i + 1] * std::cos(angle);
  }
  return out;
}

double GeluMultiply(double gate, double up) {
  const double u = std::sqrt(2.0 / 3.14159265358979323846) * (gate + 0.044715 * gate * gate * gate);
  return 0.5 * gate * (1.0 + std::tanh(u)) * up;
}

std::vector<double> RopeHalves(std::span<const float> x, int position, double theta) {
  const size_t half = x.size() / 2;
  std::vector<double> out(x.size());
  for (size_t i = 0; i < half; ++i) {
    const double angle =
        position * std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(x.size()));
    out[i] = x[i] * std::cos(angle) - x[half + i] * std::sin(angle);
    out[half + i] = x[half + i] * std::cos(angle) + x[i] * std::sin(angle);
  }
  return out;
}

std::vector<double> Attention(std::span<const float> query, std::span<const float> keys,
                              std::span<const float> values, int num_keys, double soft_cap) {
  const size_t dim = query.size();
  std::vector<double> scores;
  double largest = -1e300;
  for (size_t k = 0; k < static_cast<size_t>(num_keys); ++k) {
    const double score = DotProduct(query, keys.subspan(k * dim, dim)).sum;
    scores.push_back(soft_cap > 0 ? soft_cap * std::tanh(score / soft_cap) : score);
    largest = std::max(largest, scores.back());
  }
  double total = 0;
  std::vector<double> out(dim, 0.0);
  for (size_t k = 0; k < scores.size(); ++k) {
    const double weight = std::exp(scores[k] - largest);
    total += weight;
    for (size_t d = 0; d < dim; ++d) out[d] += weight * static_cast<double>(values[k * dim + d]);
  }
  for (double& v : out) v /= total;
  return out;
}

}  // namespace weir::reference
