#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "perf/report/number_format.h"
#include "perf/report/rule_book.h"

namespace weir {
namespace {

// OBS-03 and REC-02: what the last doubling of the batch brought.
void DoublingRules(const Facts& f, double largest, Rules& rules) {
  const std::string half = RowOfBatch(f.benchmark, largest / 2);
  const auto many = f.Bench(f.largest + "/output_tps_steady");
  const auto few = half.empty() ? std::nullopt : f.Bench(half + "/output_tps_steady");
  if (!many || !few || *few <= 0) {
    rules.Silent("OBS-03", "half of the largest batch was not measured");
    rules.Silent("REC-02", "half of the largest batch was not measured");
    return;
  }
  const double gain = *many / *few - 1;
  const Json evidence = rules.FromBench({half + "/output_tps_steady", f.largest + "/output_tps_steady"});
  if (gain < 0.10) {
    rules.Add("OBS-03", "observation", "benchmark",
              fmt::format("No gain beyond batch {}: the last doubling brings {}.", FormatNumber(largest / 2),
                          FormatPercent(std::round(gain * 1000) / 1000)),
              evidence);
  }
  const auto used = f.Bench(f.largest + "/memory/kv_peak_bytes"),
             pool = f.Bench(f.largest + "/memory/kv_pool_bytes");
  if (gain < 0.20) return;
  if (!used || !pool) {
    rules.Silent("REC-02", "the memory of the KV cache was not measured");
  } else if (2 * *used <= *pool) {
    rules.Add("REC-02", "recommendation", "recommendations",
              fmt::format("Test batch {}: its KV cache needs {} of {}, and the last doubling brought {}.",
                          FormatNumber(2 * largest), FormatBytes(2 * *used), FormatBytes(pool),
                          FormatPercent(std::round(gain * 1000) / 1000)),
              rules.FromBench({half + "/output_tps_steady", f.largest + "/output_tps_steady",
                               f.largest + "/memory/kv_peak_bytes", f.largest + "/memory/kv_pool_bytes"}));
    rules.last()["priority"] = "P1";
    rules.LastCanBeTried({{"batch_size", 2 * largest}}, "output_tps", many);
  }
}

// Least and most of a member over all rows; nothing where a row lacks it.
std::optional<std::pair<double, double>> Span(const Facts& f, const std::string& member) {
  std::optional<std::pair<double, double>> span;
  for (size_t i = 0; i < f.benchmark["results"].size(); ++i) {
    const auto value = f.Bench(fmt::format("/results/{}", i) + member);
    if (!value) return std::nullopt;
    span = span ? std::pair(std::min(span->first, *value), std::max(span->second, *value))
                : std::pair(*value, *value);
  }
  return span;
}

// OBS-06 and OBS-07: what does not change with the batch.
void ConstantRules(const Facts& f, Rules& rules) {
  const std::string best = f.best;
  if (const auto cpu = Span(f, "/utilization/cpu_ratio")) {
    const auto share = f.Bench(best + "/limit/share_ratio");
    if (cpu->first >= 0.90 && cpu->second - cpu->first <= 0.03 && share) {
      rules.Add("OBS-06", "observation", "benchmark",
                fmt::format("Utilisation is {} to {} at every batch size, so it shows no headroom; the share "
                            "of the limit is {}.",
                            FormatPercent(std::round(cpu->first * 1000) / 1000),
                            FormatPercent(std::round(cpu->second * 1000) / 1000),
                            FormatPercent(std::round(*share * 1000) / 1000)),
                rules.FromBench({best + "/utilization/cpu_ratio", best + "/limit/share_ratio"}));
    }
  } else {
    rules.Silent("OBS-06", "utilisation was not measured");
  }
  const auto memory = Span(f, "/memory/process_bytes"), pool = Span(f, "/memory/kv_pool_bytes");
  const auto peak = f.Bench(f.largest + "/memory/kv_peak_bytes");
  if (!memory || !pool || !peak) {
    rules.Silent("OBS-07", "memory was not measured");
  } else if (memory->second <= 1.02 * memory->first) {
    rules.Add("OBS-07", "observation", "benchmark",
              fmt::format("Memory is constant at {}: {} of KV cache are reserved up front, at most {} of it "
                          "are used.",
                          FormatBytes(memory->second), FormatBytes(pool->second), FormatBytes(peak)),
              rules.FromBench({f.largest + "/memory/process_bytes", f.largest + "/memory/kv_pool_bytes",
                               f.largest + "/memory/kv_peak_bytes"}));
  }
}

}  // namespace

void BenchmarkRules(const Facts& f, Rules& rules) {
  if (!f.scaling) {
    rules.Silent("OBS-01", "no benchmark with batch 1 and a larger batch");
    return;
  }
  const double largest = f.Bench(f.largest + "/batch_size").value_or(0);
  const double per_slot = *f.scaling / largest;
  const Json throughput = rules.FromBench({f.first + "/output_tps_steady", f.largest + "/output_tps_steady"});
  if (per_slot >= 0.8) {
    rules.Add("OBS-01", "observation", "benchmark",
              fmt::format("Throughput scales almost linearly: {} from batch 1 to {}.", FormatRatio(f.scaling),
                          largest),
              throughput);
  } else if (per_slot >= 0.4) {
    rules.Add("OBS-02", "observation", "benchmark",
              fmt::format("Throughput scales below linear: {} from batch 1 to {}.", FormatRatio(f.scaling),
                          largest),
              throughput);
  } else {
    rules.Add("OBS-02", "observation", "benchmark",
              fmt::format("Throughput scales far below linear: {} from batch 1 to {}.",
                          FormatRatio(f.scaling), largest),
              throughput);
  }
  const auto latency_1 = f.Bench(f.first + "/e2el_ms/p50");
  const auto latency_n = f.Bench(f.largest + "/e2el_ms/p50");
  if (latency_1 && latency_n && *latency_1 > 0) {
    rules.Add("OBS-04", "observation", "benchmark",
              fmt::format("Latency (p50) rises by {} while throughput rises {}.",
                          FormatPercent(std::round((*latency_n / *latency_1 - 1) * 1000) / 1000),
                          FormatRatio(f.scaling)),
              rules.FromBench({f.first + "/e2el_ms/p50", f.largest + "/e2el_ms/p50"}));
  } else {
    rules.Silent("OBS-04", "latency of the first or the largest batch is missing");
  }
  const auto share = f.Bench(f.best + "/limit/share_ratio");
  const auto bound = StringAt(f.benchmark, f.best + "/limit/bound");
  if (share && bound) {
    rules.Add(*share >= 0.6 ? "OBS-05" : "REC-11", "observation", "benchmark",
              fmt::format("The best row reaches {} of what this machine's {} allows.",
                          FormatPercent(std::round(*share * 1000) / 1000), *bound),
              rules.FromBench({f.best + "/limit/share_ratio", f.best + "/limit/bound"}));
  } else {
    rules.Silent("OBS-05", "the physical limit was not measured");
  }
  DoublingRules(f, largest, rules);
  ConstantRules(f, rules);
  // REC-01: the smallest batch within 5 % of the best throughput.
  const double best_tps = f.Bench(f.best + "/output_tps_steady").value_or(0);
  for (size_t i = 0; i < f.benchmark["results"].size(); ++i) {
    const std::string row = fmt::format("/results/{}", i);
    if (f.Bench(row + "/output_tps_steady").value_or(0) >= 0.95 * best_tps) {
      rules.Add("REC-01", "recommendation", "recommendations",
                fmt::format("Use batch size {}: the smallest within 5 % of the best throughput.",
                            FormatNumber(f.Bench(row + "/batch_size"))),
                rules.FromBench({row + "/batch_size", row + "/output_tps_steady"}));
      rules.last()["priority"] = "P2";
      break;
    }
  }
}

}  // namespace weir
