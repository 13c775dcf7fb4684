#include "perf/driver/load_spec.h"

#include <fmt/format.h>

#include "perf/driver/load_run.h"

namespace weir {

namespace {

Json StagesJson(const LoadSpec& spec) {
  if (spec.rate_sweep) return "rate=auto";
  if (spec.stages.empty()) return nullptr;
  Json list = Json::array();
  for (const LoadStage& stage : spec.stages) {
    list.push_back({{"request_rate_per_s", stage.request_rate ? Json(*stage.request_rate) : Json(nullptr)},
                    {"concurrency", stage.request_rate ? Json(nullptr) : Json(stage.concurrency)},
                    {"duration_s", stage.duration_s > 0 ? Json(stage.duration_s) : Json(nullptr)},
                    {"requests", stage.requests}});
  }
  return list;
}

}  // namespace

Status CheckLoadSpec(const LoadSpec& spec) {
  if (spec.requests < 1)
    return InvalidArgument(fmt::format("--requests is {}, expected at least 1", spec.requests));
  if (spec.concurrency < 1) {
    return InvalidArgument(fmt::format("--concurrency is {}, expected at least 1", spec.concurrency));
  }
  if (spec.max_tokens < 1) {
    return InvalidArgument(fmt::format("--max-tokens is {}, expected at least 1", spec.max_tokens));
  }
  if (!(spec.timeout_s > 0)) {
    return InvalidArgument(fmt::format("--timeout is {} s, expected more than 0", spec.timeout_s));
  }
  if (spec.request_rate && !(*spec.request_rate > 0)) {
    return InvalidArgument(fmt::format("--request-rate is {}, expected more than 0", *spec.request_rate));
  }
  if (!(spec.burstiness > 0)) {
    return InvalidArgument(fmt::format("--burstiness is {}, expected more than 0", spec.burstiness));
  }
  if (spec.search && spec.slo.empty())
    return InvalidArgument("--find-max needs bounds to keep; add for example --slo ttft=2000,tpot=100");
  if (spec.search && (!(spec.search->share > 0) || spec.search->share > 1 || !(spec.search->probe_s > 0) ||
                      spec.search->probe_requests < 1)) {
    return InvalidArgument(
        "--slo-share must lie above 0 and at most at 1; --probe-time and --probe-requests above 0");
  }
  if ((spec.search ? 1 : 0) + (spec.stages.empty() ? 0 : 1) + (spec.rate_sweep ? 1 : 0) > 1)
    return InvalidArgument("--stages, --sweep and --find-max exclude each other");
  if (spec.dataset.kind == DatasetSpec::Kind::kTrace &&
      (spec.request_rate || spec.search || spec.rate_sweep || !spec.stages.empty())) {
    return InvalidArgument(
        "a trace brings its own times; --request-rate, --stages, --sweep and --find-max go with other "
        "datasets");
  }
  if (spec.ramp_up_s < 0 || spec.duration_s < 0 || spec.max_in_flight < 0 || spec.warmup < 0 ||
      spec.retries < 0) {
    return InvalidArgument("--ramp-up, --duration, --max-in-flight and --warmup must not be negative");
  }
  return OkStatus();
}

Json LoadParameters(const LoadSpec& spec, const std::string& model) {
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
  Json json;
  json["url"] = spec.url;
  json["model"] = model;
  json["requests"] = spec.requests;
  json["duration_s"] = spec.duration_s > 0 ? Json(spec.duration_s) : Json(nullptr);
  json["concurrency"] = spec.concurrency;
  json["ramp_up_s"] = spec.ramp_up_s;
  json["timeout_s"] = spec.timeout_s;
  json["deadline_header"] = spec.send_deadline;
  json["max_tokens"] = spec.max_tokens;
  json["ignore_eos"] = spec.ignore_eos;
  json["stream"] = spec.stream;
  json["temperature"] = spec.temperature;
  json["seed"] = spec.seed;
  json["request_rate_per_s"] = or_null(spec.request_rate);
  json["arrival"] = ArrivalProcessName(spec.arrival);
  json["burstiness"] = spec.burstiness;
  json["percentile"] = spec.percentile == PercentileMethod::kLinear ? "linear" : "nearest_rank";
  json["retries"] = spec.retries;
  json["max_in_flight"] = spec.max_in_flight > 0 ? Json(spec.max_in_flight) : Json(nullptr);
  json["on_shed"] = spec.on_shed == OnShed::kDefault ? (spec.request_rate ? "next" : "wait")
                    : spec.on_shed == OnShed::kWait  ? "wait"
                                                     : "next";
  json["warmup"] = spec.warmup;
  json["slo"] = {{"ttft_ms", or_null(spec.slo.ttft_ms)},
                 {"tpot_ms", or_null(spec.slo.tpot_ms)},
                 {"e2el_ms", or_null(spec.slo.e2el_ms)}};
  json["prompts"] = spec.dataset.text;
  json["stages"] = StagesJson(spec);
  json["search"] = spec.search ? Json{{"by", spec.search->by_rate ? "rate" : "concurrency"},
                                      {"share", spec.search->share},
                                      {"probe_s", spec.search->probe_s},
                                      {"probe_requests", spec.search->probe_requests}}
                               : Json(nullptr);
  return json;
}

}  // namespace weir
