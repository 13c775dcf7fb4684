#include "perf/report/tokenizer_wait.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace weir {
namespace {

using Interval = std::pair<double, double>;

std::optional<double> Stamp(const RequestRecord& record, const char* name) {
  const Json* same_boot = FindJson(record.server, {"clock", "same_boot"});
  if (same_boot == nullptr || *same_boot != true) return std::nullopt;
  return JsonNumber(FindJson(record.server, {"clock", name}));
}

// When some prompt was being rendered or tokenized: disjoint, in order.
std::vector<Interval> BusyTimes(const std::vector<RequestRecord>& records) {
  std::vector<Interval> busy;
  for (const RequestRecord& record : records) {
    const auto from = Stamp(record, "parsed_ms"), to = Stamp(record, "tokenized_ms");
    if (from && to && *to > *from) busy.emplace_back(*from, *to);
  }
  std::sort(busy.begin(), busy.end());
  std::vector<Interval> joined;
  for (const Interval& one : busy) {
    if (joined.empty() || one.first > joined.back().second) {
      joined.push_back(one);
    } else {
      joined.back().second = std::max(joined.back().second, one.second);
    }
  }
  return joined;
}

}  // namespace

std::vector<double> TokenizerWaits(const std::vector<RequestRecord>& records) {
  const std::vector<Interval> busy = BusyTimes(records);
  std::vector<double> waits;
  waits.reserve(records.size());
  for (const RequestRecord& record : records) {
    double waited = 0;
    if (const auto started = Stamp(record, "started_ms")) {
      auto one = std::lower_bound(busy.begin(), busy.end(), record.sent_ms,
                                  [](const Interval& a, double at) { return a.second < at; });
      for (; one != busy.end() && one->first < *started; ++one)
        waited += std::max(0.0, std::min(one->second, *started) - std::max(one->first, record.sent_ms));
    }
    waits.push_back(waited);
  }
  return waits;
}

}  // namespace weir
