// What /metrics shows: vLLM's names where vLLM has one, `weir:` for the rest.
//
// Owns      the registry and every series
// Threads   observations from any thread; Render() from the control thread, without an engine lock
//
// Request times come from ledgers, so the two sources cannot disagree. No client value becomes a label.
#pragma once

#include <array>
#include <string>

#include "base/metrics.h"
#include "engine/engine.h"
#include "server/closed_request.h"
#include "server/memory_ladder.h"

namespace weir {

// What the engine does not know, at the moment of a scrape.
struct ServerState {
  int num_connections = 0;
  int num_deferred = 0;  // waiting for a grammar
  MemoryStep memory = MemoryStep::kNone;
};

class ServerMetrics {
 public:
  explicit ServerMetrics(const std::string& model_name, std::vector<std::string> adapter_names = {});

  void ObserveStep(const StepRecord& step);
  void ObserveTokenGap(Duration gap) {
    inter_token_latency_->Observe(ToSeconds(gap));
    old_tpot_->Observe(ToSeconds(gap));
  }
  void ObserveClosed(const ClosedRequest& request);
  void ObserveRetryAfter(Duration retry_after) { retry_after_->Observe(ToSeconds(retry_after)); }
  void CountGateError(std::string_view rule);
  void CountReload(bool ok);
  // By the router, before there was a request to account for.
  void CountRejected(const std::string& code, std::string_view service_class);

  // Of a key; names of the keys file only.
  void SetServedCost(const std::string& key, double cost);

  // Gauges are read from the engine now; null while it is loading.
  std::string Render(const Engine* engine, const ServerState& state);

 private:
  std::string RenderAdapters(const Engine& engine) const;
  MetricLabels With(const std::string& name, const std::string& value) const;
  void SetGauges(const Engine& engine, int num_deferred);
  void ObserveTimes(const ClosedRequest& request);

  const std::vector<std::string> adapter_names_;
  MetricLabels labels_;
  MetricsRegistry registry_;
  Gauge *running_, *waiting_, *kv_usage_, *old_kv_usage_, *queued_tokens_, *queue_limit_requests_,
      *queue_limit_tokens_, *step_age_, *connections_, *old_prefix_hit_rate_, *overloaded_, *oldest_waiter_,
      *memory_step_, *waiting_for_capacity_, *waiting_deferred_, *cache_config_ = nullptr;
  Counter *prompt_tokens_, *cached_prompt_tokens_, *generation_tokens_, *preemptions_, *prefix_queries_,
      *prefix_hits_, *old_prefix_queries_, *old_prefix_hits_, *log_dropped_, *cpu_seconds_;
  BucketHistogram *ttft_, *inter_token_latency_, *old_tpot_, *tpot_, *e2e_, *queue_time_, *inference_time_,
      *prefill_time_, *decode_time_, *iteration_tokens_, *request_prompt_tokens_, *request_generation_tokens_,
      *request_max_generation_tokens_, *params_n_, *params_max_tokens_, *kv_computed_tokens_, *step_seconds_,
      *step_batch_, *retry_after_, *ttft_error_, *step_cost_error_;
  std::array<BucketHistogram*, kNumStages> stage_seconds_{};
};

}  // namespace weir
