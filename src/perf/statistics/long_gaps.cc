#include "perf/statistics/long_gaps.h"

#include <algorithm>
#include <vector>

#include "perf/statistics/distribution.h"
#include "perf/statistics/server_stamps.h"

namespace weir {
namespace {

constexpr double kLongest = 0.01;

struct Gap {
  double began_ms, ended_ms;
  size_t record;

  double ms() const { return ended_ms - began_ms; }
};

struct Prefill {
  double began_ms, ended_ms;
  size_t record;
};

// How much of the gap is covered by prefills of others, none of which takes more than `longest_ms`; they overlap each other
// where prompts share a step.
double PrefillOfOthers(const Gap& gap, std::span<const Prefill> by_begin, double longest_ms) {
  double covered = 0, until = gap.began_ms;
  auto next = std::lower_bound(by_begin.begin(), by_begin.end(), gap.began_ms - longest_ms,
                               [](const Prefill& prefill, double at_ms) { return prefill.began_ms < at_ms; });
  for (; next != by_begin.end() && next->began_ms < gap.ended_ms; ++next) {
    const Prefill& prefill = *next;
    if (prefill.record == gap.record) continue;
    const double from = std::max(prefill.began_ms, until), to = std::min(prefill.ended_ms, gap.ended_ms);
    if (to <= from) continue;
    covered += to - from;
    until = to;
  }
  return covered;
}

}  // namespace

std::optional<LongGaps> FindLongGaps(std::span<const RequestRecord> records) {
  std::vector<Gap> gaps;
  std::vector<Prefill> prefills;
  double prefill_ms = 0, prefill_tokens = 0, longest_prefill_ms = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    const std::optional<ServerStamps> stamps = StampsOf(records[i]);
    if (stamps) {
      prefills.push_back({stamps->prefill_began_ms, stamps->first_token_ms, i});
      longest_prefill_ms = std::max(longest_prefill_ms, stamps->first_token_ms - stamps->prefill_began_ms);
      prefill_ms += JsonNumber(FindJson(records[i].server, {"ledger_ms", "prefill"})).value_or(0);
      prefill_tokens += stamps->prompt_tokens;
    }
    if (records[i].outcome != Outcome::kOk) continue;
    if (!stamps) return std::nullopt;
    const std::vector<double>& times = records[i].token_times_ms;
    for (size_t k = 1; k < times.size(); ++k) gaps.push_back({times[k - 1], times[k], i});
  }
  if (gaps.empty()) return std::nullopt;
  std::sort(prefills.begin(), prefills.end(),
            [](const Prefill& a, const Prefill& b) { return a.began_ms < b.began_ms; });
  std::sort(gaps.begin(), gaps.end(), [](const Gap& a, const Gap& b) { return a.ms() < b.ms(); });
  std::vector<double> sorted;
  for (const Gap& gap : gaps) sorted.push_back(gap.ms());

  LongGaps found;
  found.p50_ms = Percentile(sorted, 50, PercentileMethod::kNearestRank);
  found.p99_ms = Percentile(sorted, 99, PercentileMethod::kNearestRank);
  if (prefill_tokens > 0) found.prefill_token_ms = prefill_ms / prefill_tokens;
  const size_t num_longest =
      std::max<size_t>(1, static_cast<size_t>(kLongest * static_cast<double>(gaps.size())));
  size_t with_prefill = 0;
  for (const Gap& gap : std::span(gaps).last(num_longest)) {
    found.mean_ms += gap.ms() / static_cast<double>(num_longest);
    const double beyond = gap.ms() - found.p50_ms;
    if (beyond > 0 && PrefillOfOthers(gap, prefills, longest_prefill_ms) >= beyond / 2) ++with_prefill;
  }
  found.prefill_ratio = static_cast<double>(with_prefill) / static_cast<double>(num_longest);
  return found;
}

}  // namespace weir
