#include "perf/statistics/backlog.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace weir {
namespace {

constexpr int kBins = 20;
constexpr double kStudentT18 = 2.1009;  // two-sided 95 % for kBins - 2 degrees of freedom

// Time averages over equal parts of the window of a count that keeps each value until the next sample.
std::array<double, kBins> BinMeans(std::span<const InFlightSample> samples, const Window& window) {
  std::array<double, kBins> means{};
  const double width = (window.end_ms - window.start_ms) / kBins;
  const auto add = [&](double from, double to, double count) {
    for (int bin = 0; bin < kBins; ++bin) {
      const double begin = window.start_ms + bin * width;
      const double overlap = std::min(to, begin + width) - std::max(from, begin);
      if (overlap > 0) means[bin] += count * overlap / width;
    }
  };
  for (size_t i = 0; i < samples.size(); ++i) {
    const double until = i + 1 < samples.size() ? samples[i + 1].at_ms : window.end_ms;
    if (until <= window.start_ms || samples[i].at_ms >= window.end_ms) continue;
    add(samples[i].at_ms, until, samples[i].count);
  }
  return means;
}

}  // namespace

std::optional<Window> ArrivalWindow(std::span<const RequestRecord> records) {
  if (records.empty()) return std::nullopt;
  const auto [first, last] = std::minmax_element(
      records.begin(), records.end(),
      [](const RequestRecord& a, const RequestRecord& b) { return a.intended_ms < b.intended_ms; });
  const Window out{first->intended_ms + (last->intended_ms - first->intended_ms) / 10, last->intended_ms};
  return out.end_ms > out.start_ms ? std::optional(out) : std::nullopt;
}

std::optional<Backlog> MeasureBacklog(std::span<const InFlightSample> samples, const Window& window) {
  if (samples.size() < 2 || window.end_ms <= window.start_ms) return std::nullopt;
  const std::array<double, kBins> means = BinMeans(samples, window);
  double mean = 0;
  for (const double value : means) mean += value / kBins;
  if (mean <= 0) return std::nullopt;
  const double middle = (kBins - 1) / 2.0;
  double sxx = 0, sxy = 0;
  for (int i = 0; i < kBins; ++i) {
    sxx += (i - middle) * (i - middle);
    sxy += (i - middle) * (means[i] - mean);
  }
  const double slope = sxy / sxx;  // requests per part
  std::array<double, kBins> residual{};
  double squares = 0, neighbours = 0;
  for (int i = 0; i < kBins; ++i) {
    residual[i] = means[i] - mean - slope * (i - middle);
    squares += residual[i] * residual[i];
    if (i > 0) neighbours += residual[i] * residual[i - 1];
  }
  // Neighbouring parts share requests, so they are less evidence than as many independent ones.
  const double correlation = squares > 0 ? std::clamp(neighbours / squares, 0.0, 0.9) : 0;
  const double error =
      std::sqrt(squares / (kBins - 2) / sxx) * std::sqrt((1 + correlation) / (1 - correlation));
  Backlog out;
  out.is_growing = slope - kStudentT18 * error > 0;
  if (!out.is_growing) return out;
  out.growth_ratio = slope * kBins / mean;
  out.requests_per_s = slope * kBins / window.seconds();
  return out;
}

}  // namespace weir
