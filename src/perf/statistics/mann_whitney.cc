#include "perf/statistics/mann_whitney.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace weir {
namespace {

constexpr size_t kExactLimit = 100;
constexpr double kAlpha = 0.05;

struct Ranked {
  std::vector<int>
      doubled_ranks;    // of a's values and then b's; doubled, so that the mean ranks of ties are whole
  double tie_term = 0;  // sum of t^3 - t over groups of equal values
};

Ranked Rank(std::span<const double> a, std::span<const double> b) {
  std::vector<double> values(a.begin(), a.end());
  values.insert(values.end(), b.begin(), b.end());
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t x, size_t y) { return values[x] < values[y]; });
  Ranked out;
  out.doubled_ranks.resize(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t last = first;
    while (last + 1 < order.size() && values[order[last + 1]] == values[order[first]]) ++last;
    for (size_t i = first; i <= last; ++i)
      out.doubled_ranks[order[i]] = static_cast<int>(first + last + 2);  // twice the mean of the ranks from 1
    const double ties = static_cast<double>(last - first + 1);
    out.tie_term += ties * ties * ties - ties;
    first = last + 1;
  }
  return out;
}

// probabilities[s]: that `count` of the ranks, dealt at random, sum to s.
std::vector<double> RankSumDistribution(const std::vector<int>& ranks, size_t count) {
  const size_t total = static_cast<size_t>(std::accumulate(ranks.begin(), ranks.end(), 0));
  // ways[k][s], built rank by rank. Scaled as probabilities on the way, so that large counts stay finite.
  std::vector<std::vector<double>> ways(count + 1, std::vector<double>(total + 1, 0.0));
  ways[0][0] = 1;
  size_t seen = 0;
  for (const int rank : ranks) {
    ++seen;
    for (size_t k = std::min(count, seen); k >= 1; --k) {
      for (size_t s = total; s >= static_cast<size_t>(rank); --s) ways[k][s] += ways[k - 1][s - rank];
    }
  }
  const double all = std::accumulate(ways[count].begin(), ways[count].end(), 0.0);
  for (double& way : ways[count]) way /= all;
  return std::move(ways[count]);
}

double ExactP(const Ranked& ranked, size_t num_a) {
  // Deal to the smaller side: the other one's sum is what remains.
  const size_t num_b = ranked.doubled_ranks.size() - num_a;
  const bool deal_a = num_a <= num_b;
  const auto begin = ranked.doubled_ranks.begin() + (deal_a ? 0 : static_cast<std::ptrdiff_t>(num_a));
  const size_t count = deal_a ? num_a : num_b;
  const int observed = std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(count), 0);
  const std::vector<double> distribution = RankSumDistribution(ranked.doubled_ranks, count);
  const double mean = static_cast<double>(count) * static_cast<double>(ranked.doubled_ranks.size() + 1);
  double p = 0;
  for (size_t s = 0; s < distribution.size(); ++s) {
    if (std::fabs(static_cast<double>(s) - mean) >= std::fabs(observed - mean) - 1e-9) p += distribution[s];
  }
  return std::min(1.0, p);
}

double NormalP(const Ranked& ranked, size_t num_a) {
  const double n = static_cast<double>(num_a), total = static_cast<double>(ranked.doubled_ranks.size());
  const double m = total - n;
  const double sum = std::accumulate(ranked.doubled_ranks.begin(),
                                     ranked.doubled_ranks.begin() + static_cast<std::ptrdiff_t>(num_a), 0.0) /
                     2;
  const double variance = n * m / 12 * (total + 1 - ranked.tie_term / (total * (total - 1)));
  if (variance <= 0) return 1;
  const double distance = std::max(0.0, std::fabs(sum - n * (total + 1) / 2) - 0.5);
  return std::erfc(distance / std::sqrt(2 * variance));
}

// How many of the smallest differences the interval leaves out on each side, for samples without ties.
size_t DifferencesOutside(size_t num_a, size_t num_b) {
  const double n = static_cast<double>(num_a), m = static_cast<double>(num_b);
  if (num_a + num_b > kExactLimit) {
    const double margin = 1.959964 * std::sqrt(n * m * (n + m + 1) / 12);
    return static_cast<size_t>(std::max(0.0, std::floor(n * m / 2 - margin)));
  }
  std::vector<int> ranks(num_a + num_b);
  std::iota(ranks.begin(), ranks.end(), 1);
  const std::vector<double> distribution = RankSumDistribution(ranks, num_a);
  const size_t smallest = num_a * (num_a + 1) / 2;
  double below = 0;
  size_t outside = 0;
  for (size_t u = 0; smallest + u < distribution.size(); ++u) {
    below += distribution[smallest + u];
    if (below > kAlpha / 2) break;
    outside = u + 1;
  }
  return outside;
}

}  // namespace

double MannWhitneyP(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) return 1;
  const Ranked ranked = Rank(a, b);
  return a.size() + b.size() <= kExactLimit ? ExactP(ranked, a.size()) : NormalP(ranked, a.size());
}

std::optional<Shift> HodgesLehmannShift(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) return std::nullopt;
  std::vector<double> differences;
  differences.reserve(a.size() * b.size());
  for (const double x : a) {
    for (const double y : b) differences.push_back(y - x);
  }
  std::sort(differences.begin(), differences.end());
  const size_t count = differences.size();
  Shift out;
  out.median = (differences[(count - 1) / 2] + differences[count / 2]) / 2;
  const size_t outside = DifferencesOutside(a.size(), b.size());
  if (outside > 0) out.interval95 = Interval{differences[outside - 1], differences[count - outside]};
  return out;
}

std::vector<double> HolmCorrect(std::span<const double> p) {
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t x, size_t y) { return p[x] < p[y]; });
  std::vector<double> corrected(p.size());
  double largest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    largest = std::max(largest, std::min(1.0, p[order[i]] * static_cast<double>(p.size() - i)));
    corrected[order[i]] = largest;
  }
  return corrected;
}

}  // namespace weir
