#include "server/server_metrics.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "base/version.h"
#include "server/metric_buckets.h"
#include "server/service_class.h"

namespace weir {
namespace {

double Seconds(const Ledger& ledger, std::initializer_list<Stage> stages) {
  Duration sum{};
  for (Stage stage : stages) sum += ledger.stage(stage);
  return ToSeconds(sum);
}

// Of the whole process, user and system.
double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

bool IsSet(TimePoint time) { return time != TimePoint{}; }

}  // namespace

ServerMetrics::ServerMetrics(const std::string& model_name, std::vector<std::string> adapter_names)
    : adapter_names_(std::move(adapter_names)), labels_{{"model_name", model_name}, {"engine", "0"}} {
  const auto gauge = [&](const char* name, const char* help) {
    return registry_.AddGauge(name, help, labels_);
  };
  const auto counter = [&](const char* name, const char* help) {
    return registry_.AddCounter(name, help, labels_);
  };
  const auto histogram = [&](const char* name, const char* help, std::span<const double> bounds) {
    return registry_.AddHistogram(name, help, bounds, labels_);
  };
  running_ = gauge("vllm:num_requests_running", "Sequences in the running batch.");
  waiting_ = gauge("vllm:num_requests_waiting", "Sequences accepted and not yet running.");
  const auto waiting_for = [&](const char* reason) {
    return registry_.AddGauge("vllm:num_requests_waiting_by_reason",
                              "Waiting for a place, or for something that must be ready first.",
                              With("reason", reason));
  };
  waiting_for_capacity_ = waiting_for("capacity");
  waiting_deferred_ = waiting_for("deferred");
  kv_usage_ = gauge("vllm:kv_cache_usage_perc", "Used share of the KV cache, 0 to 1.");
  old_kv_usage_ = gauge("vllm:gpu_cache_usage_perc", "Older name of kv_cache_usage_perc.");
  prompt_tokens_ = counter("vllm:prompt_tokens_total", "Prompt tokens of finished requests.");
  cached_prompt_tokens_ =
      counter("vllm:prompt_tokens_cached_total", "Prompt tokens that came from the prefix cache.");
  generation_tokens_ = counter("vllm:generation_tokens_total", "Generated tokens.");
  preemptions_ = counter("vllm:num_preemptions_total", "Sequences that lost their KV blocks to others.");
  prefix_queries_ =
      counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.");
  prefix_hits_ = counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.");
  old_prefix_queries_ = counter("vllm:gpu_prefix_cache_queries_total", "Older name of prefix_cache_queries.");
  old_prefix_hits_ = counter("vllm:gpu_prefix_cache_hits_total", "Older name of prefix_cache_hits.");
  old_prefix_hit_rate_ =
      gauge("vllm:gpu_prefix_cache_hit_rate", "Share of the looked-up prompt tokens found, since the start.");
  ttft_ = histogram("vllm:time_to_first_token_seconds", "First byte of the request to its first token.",
                    kTtftBuckets);
  inter_token_latency_ =
      histogram("vllm:inter_token_latency_seconds", "Gap between neighbouring tokens.", kItlBuckets);
  old_tpot_ = histogram("vllm:time_per_output_token_seconds", "Older name of inter_token_latency_seconds.",
                        kItlBuckets);
  tpot_ = histogram("vllm:request_time_per_output_token_seconds", "Mean gap between a request's tokens.",
                    kItlBuckets);
  e2e_ =
      histogram("vllm:e2e_request_latency_seconds", "First byte read to last byte written.", kRequestBuckets);
  queue_time_ = histogram("vllm:request_queue_time_seconds", "Time spent waiting to run.", kRequestBuckets);
  inference_time_ = histogram("vllm:request_inference_time_seconds", "Time spent running.", kRequestBuckets);
  prefill_time_ =
      histogram("vllm:request_prefill_time_seconds", "Scheduled to first token.", kRequestBuckets);
  decode_time_ = histogram("vllm:request_decode_time_seconds", "First to last token.", kRequestBuckets);
  iteration_tokens_ =
      histogram("vllm:iteration_tokens_total", "Tokens computed in one step.", kStepTokenBuckets);
  request_prompt_tokens_ =
      histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.", kTokenBuckets);
  request_generation_tokens_ =
      histogram("vllm:request_generation_tokens", "Generated tokens of a request.", kTokenBuckets);
  request_max_generation_tokens_ =
      histogram("vllm:request_max_num_generation_tokens", "Most tokens a request could get.", kTokenBuckets);
  params_n_ = histogram("vllm:request_params_n", "The parameter n.", kCountBuckets);
  params_max_tokens_ =
      histogram("vllm:request_params_max_tokens", "The parameter max_tokens.", kTokenBuckets);
  kv_computed_tokens_ = histogram("vllm:request_prefill_kv_computed_tokens",
                                  "Prompt tokens computed, cached ones excluded.", kTokenBuckets);

  queued_tokens_ = gauge("weir:queued_tokens", "Prompt tokens accepted and not yet computed.");
  queue_limit_requests_ = gauge("weir:queue_limit_requests", "Most sequences that may wait.");
  queue_limit_tokens_ =
      gauge("weir:queue_limit_tokens", "Most prompt tokens that may wait; -1: by the TTFT objective.");
  oldest_waiter_ = gauge("weir:oldest_waiter_seconds", "How long the oldest has waited that has not begun.");
  overloaded_ = gauge("weir:codel_overloaded", "1 while the newest go first, because the queue stands.");
  memory_step_ =
      gauge("weir:memory_ladder_step",
            "0: enough memory; 1: connections close, the prefix cache does not grow; 2: refusing.");
  step_age_ = gauge("weir:watchdog_last_step_age_seconds", "Time since the last step ended.");
  connections_ = gauge("weir:http_connections", "Open connections of the data listener.");
  cpu_seconds_ = registry_.AddCounter("process_cpu_seconds_total", "CPU time of this process.");
  log_dropped_ = counter("weir:log_dropped_total", "Log lines dropped because the sink was slow.");
  step_seconds_ = histogram("weir:step_seconds", "Duration of one step.", kItlBuckets);
  step_cost_error_ =
      histogram("weir:step_cost_error_ratio",
                "Distance of a step's time from its prediction, over the prediction.", kRatioBuckets);
  step_batch_ = histogram("weir:step_batch_size", "Sequences in one step.", kBatchBuckets);
  retry_after_ = histogram("weir:retry_after_seconds", "Retry hints given with 429.", kRequestBuckets);
  ttft_error_ =
      histogram("weir:ttft_prediction_error_seconds", "Distance of predicted and real TTFT.", kTtftBuckets);
  for (int i = 0; i < kNumStages; ++i) {
    stage_seconds_[i] =
        registry_.AddHistogram("weir:stage_seconds", "Time of a request in one stage of its ledger.",
                               kStageBuckets, With("stage", std::string(StageName(static_cast<Stage>(i)))));
  }
  for (const char* reason : {"stop", "length"}) {
    registry_.AddCounter("vllm:request_success_total", "Requests that ended well.",
                         With("finished_reason", reason));
  }
  registry_
      .AddGauge("weir:build_info", "What this binary is.",
                {{"version", std::string(Version())}, {"commit", std::string(Commit())}})
      ->Set(1);
}

MetricLabels ServerMetrics::With(const std::string& name, const std::string& value) const {
  MetricLabels labels = labels_;
  labels.emplace_back(name, value);
  return labels;
}

void ServerMetrics::ObserveStep(const StepRecord& step) {
  if (step.num_tokens == 0) return;
  iteration_tokens_->Observe(step.num_tokens);
  step_seconds_->Observe(ToSeconds(step.ended - step.started));
  step_batch_->Observe(step.num_sequences);
  if (const double predicted = ToSeconds(step.predicted); predicted > 0)
    step_cost_error_->Observe(std::abs(ToSeconds(step.ended - step.started) - predicted) / predicted);
  if (step.num_preempted > 0) preemptions_->Add(step.num_preempted);
  if (step.num_queried_tokens == 0) return;
  for (Counter* queries : {prefix_queries_, old_prefix_queries_})
    queries->Add(static_cast<double>(step.num_queried_tokens));
  for (Counter* hits : {prefix_hits_, old_prefix_hits_})
    hits->Add(static_cast<double>(step.num_cached_tokens));
}

void ServerMetrics::CountGateError(std::string_view rule) {
  registry_
      .AddCounter("weir:http_gate_rejected_total", "Requests refused before they were understood.",
                  With("rule", std::string(rule)))
      ->Add();
}

void ServerMetrics::CountReload(bool ok) {
  registry_
      .AddCounter("weir:reload_total", "Reloads of keys, certificate and log level.",
                  With("result", ok ? "ok" : "error"))
      ->Add();
}

void ServerMetrics::CountRejected(const std::string& code, std::string_view service_class) {
  MetricLabels labels = With("code", code);
  labels.emplace_back("class", service_class);
  registry_
      .AddCounter("weir:requests_rejected_total", "Requests that got an error, by its code and their class.",
                  labels)
      ->Add();
}

void ServerMetrics::SetServedCost(const std::string& key, double cost) {
  Counter* counter = registry_.AddCounter(
      "weir:key_served_cost_total", "Prompt tokens computed for a key, and output tokens at their price.",
      With("key", key));
  if (cost > counter->value()) counter->Add(cost - counter->value());
}

void ServerMetrics::ObserveTimes(const ClosedRequest& request) {
  const Ledger& ledger = request.ledger;
  e2e_->Observe(ToSeconds(ledger.wall()));
  queue_time_->Observe(Seconds(ledger, {Stage::kHandoff, Stage::kQueueSlot, Stage::kQueueKv,
                                        Stage::kQueueBudget, Stage::kQueueFair, Stage::kQueueGrammar}));
  if (!IsSet(ledger.first_token)) return;
  const double ttft = ToSeconds(ledger.first_token - ledger.started());
  ttft_->Observe(ttft);
  if (request.predicted_ttft_ms >= 0) ttft_error_->Observe(std::abs(ttft - request.predicted_ttft_ms * 1e-3));
  if (IsSet(ledger.scheduled)) prefill_time_->Observe(ToSeconds(ledger.first_token - ledger.scheduled));
  if (!IsSet(ledger.last_token)) return;
  const double decode = ToSeconds(ledger.last_token - ledger.first_token);
  decode_time_->Observe(decode);
  if (IsSet(ledger.scheduled)) inference_time_->Observe(ToSeconds(ledger.last_token - ledger.scheduled));
  // With several choices the ledger is one of them, so a mean over its own tokens cannot be told.
  if (request.num_choices == 1 && request.output_tokens > 1)
    tpot_->Observe(decode / (request.output_tokens - 1));
}

void ServerMetrics::ObserveClosed(const ClosedRequest& request) {
  for (int i = 0; i < kNumStages; ++i) {
    const Duration time = request.ledger.stage(static_cast<Stage>(i));
    if (time > Duration::zero()) stage_seconds_[i]->Observe(ToSeconds(time));
  }
  prompt_tokens_->Add(request.prompt_tokens);
  cached_prompt_tokens_->Add(request.cached_tokens);
  generation_tokens_->Add(request.output_tokens);
  const std::string_view outcome = request.outcome();
  if (outcome == "ok") {
    registry_.AddCounter("vllm:request_success_total", "", With("finished_reason", request.finish_reason))
        ->Add();
    request_prompt_tokens_->Observe(request.prompt_tokens);
    request_generation_tokens_->Observe(request.output_tokens);
    request_max_generation_tokens_->Observe(request.output_tokens);
    params_n_->Observe(request.num_choices);
    params_max_tokens_->Observe(static_cast<double>(request.max_tokens));
    kv_computed_tokens_->Observe(request.prompt_tokens - request.cached_tokens);
    ObserveTimes(request);
  } else if (outcome == "refused" || outcome == "bad_request" || outcome == "failed") {
    CountRejected(request.code, ClassName(request.service_class));
  } else {
    const bool ran = IsSet(request.ledger.scheduled);
    registry_
        .AddCounter("weir:requests_cancelled_total", "Requests whose client left, by how far they had come.",
                    With("stage", ran ? "running" : "waiting"))
        ->Add();
  }
}

void ServerMetrics::SetGauges(const Engine& engine, int num_deferred) {
  const LoadSnapshot load = engine.Load();
  running_->Set(load.num_running);
  waiting_->Set(load.num_waiting);
  const int deferred = std::min(num_deferred, load.num_waiting);
  waiting_for_capacity_->Set(load.num_waiting - deferred);
  waiting_deferred_->Set(deferred);
  overloaded_->Set(load.overloaded ? 1 : 0);
  const bool somebody_waits = IsSet(load.oldest_waiting) && load.num_waiting > 0;
  oldest_waiter_->Set(somebody_waits ? ToSeconds(MonotonicClock::Get().Now() - load.oldest_waiting) : 0.0);
  queued_tokens_->Set(static_cast<double>(load.queued_tokens));
  const double used = load.total_blocks > 0
                          ? 1.0 - static_cast<double>(engine.num_free_kv_blocks()) / load.total_blocks
                          : 0.0;
  kv_usage_->Set(used);
  old_kv_usage_->Set(used);
  queue_limit_requests_->Set(engine.options().bounded_queue ? engine.options().max_num_queued_reqs : -1);
  queue_limit_tokens_->Set(static_cast<double>(engine.options().max_num_queued_tokens));
  const TimePoint ended = engine.last_step_ended();
  if (IsSet(ended)) step_age_->Set(ToSeconds(MonotonicClock::Get().Now() - ended));
  if (cache_config_ == nullptr) {
    MetricLabels labels = With("block_size", "16");
    labels.emplace_back("num_gpu_blocks", fmt::format("{}", engine.num_kv_blocks()));
    cache_config_ = registry_.AddGauge("vllm:cache_config_info", "Size of the KV cache.", labels);
    cache_config_->Set(1);
  }
}

// One series, whose labels say it all and change: the registry would keep every combination that there ever was.
std::string ServerMetrics::RenderAdapters(const Engine& engine) const {
  const std::vector<AdapterLoad> loads = engine.AdapterLoads();
  if (loads.empty()) return "";
  std::vector<std::string> running, waiting;
  for (size_t i = 0; i < std::min(loads.size(), adapter_names_.size()); ++i) {
    if (loads[i].num_running > 0) running.push_back(adapter_names_[i]);
    if (loads[i].num_waiting > 0) waiting.push_back(adapter_names_[i]);
  }
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return fmt::format(
      "# HELP vllm:lora_requests_info Adapters of running and waiting sequences; the value is the time.\n"
      "# TYPE vllm:lora_requests_info gauge\n"
      "vllm:lora_requests_info{{max_lora=\"{}\",running_lora_adapters=\"{}\",waiting_lora_adapters=\"{}\"}} "
      "{:.3f}\n",
      loads.size(), fmt::join(running, ","), fmt::join(waiting, ","), now);
}

std::string ServerMetrics::Render(const Engine* engine, const ServerState& state) {
  if (engine != nullptr) SetGauges(*engine, state.num_deferred);
  connections_->Set(state.num_connections);
  memory_step_->Set(static_cast<int>(state.memory));
  if (const double queries = prefix_queries_->value(); queries > 0)
    old_prefix_hit_rate_->Set(prefix_hits_->value() / queries);
  if (const double used = CpuSeconds(); used > cpu_seconds_->value())
    cpu_seconds_->Add(used - cpu_seconds_->value());
  const auto dropped = static_cast<double>(LogDropped());
  if (dropped > log_dropped_->value()) log_dropped_->Add(dropped - log_dropped_->value());
  return registry_.Render() + (engine != nullptr ? RenderAdapters(*engine) : "");
}

}  // namespace weir
