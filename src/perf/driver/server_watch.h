// What the server under test said of itself while it was loaded: means over the looks at its /metrics.
//
// Units     seconds of CPU; ratios from 0 to 1
// Threads   one
#pragma once

#include <algorithm>
#include <optional>

#include "perf/driver/server_side.h"

namespace weir {

class ServerWatch {
 public:
  // At the run's edges the server is idle, so there only the CPU time counts.
  void Look(ServerSide& server, bool at_edge) {
    const TimePoint now = MonotonicClock::Get().Now();
    const std::optional<ServerGauges> gauges = server.ReadGauges();
    if (!gauges) return;
    if (!at_edge) {
      Add(gauges->running, &running_);
      Add(gauges->waiting, &waiting_);
    }
    if (gauges->kv_used_ratio) kv_used_ = std::max(kv_used_.value_or(0), *gauges->kv_used_ratio);
    if (!gauges->cpu_seconds) return;
    if (!first_cpu_) {
      first_cpu_ = *gauges->cpu_seconds;
      first_at_ = now;
    }
    last_cpu_ = *gauges->cpu_seconds;
    last_at_ = now;
  }

  // CPU time between the first and the last look; empty when the server does not say.
  std::optional<double> cpu_s() const {
    return first_cpu_ ? std::optional(last_cpu_ - *first_cpu_) : std::nullopt;
  }

  Json ToJson(int logical_cores) const {
    const double elapsed = ToSeconds(last_at_ - first_at_);
    const bool has_cpu = first_cpu_ && elapsed > 0 && logical_cores > 0;
    if (running_.count == 0 && !has_cpu) return nullptr;
    return {
        {"gpu_ratio", nullptr},
        {"cpu_ratio", has_cpu ? Json((last_cpu_ - *first_cpu_) / elapsed / logical_cores) : Json(nullptr)},
        {"running_mean", Mean(running_)},
        {"waiting_mean", Mean(waiting_)},
        {"kv_used_ratio", kv_used_ ? Json(*kv_used_) : Json(nullptr)},
        {"prefix_hit_ratio", nullptr}};
  }

 private:
  struct Sum {
    double total = 0;
    int count = 0;
  };
  static void Add(const std::optional<double>& value, Sum* sum) {
    if (!value) return;
    sum->total += *value;
    ++sum->count;
  }
  static Json Mean(const Sum& sum) { return sum.count == 0 ? Json(nullptr) : Json(sum.total / sum.count); }

  Sum running_, waiting_;
  std::optional<double> kv_used_, first_cpu_;
  double last_cpu_ = 0;
  TimePoint first_at_{}, last_at_{};
};

}  // namespace weir
