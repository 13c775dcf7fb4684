#include "server/closed_request.h"

#include <fmt/format.h>

#include <cmath>

#include "base/file.h"
#include "base/utf8.h"
#include "server/request_id.h"

namespace weir {
namespace {

constexpr size_t kMaxLoggedBytes = 256;

// Three decimals are a microsecond; more would only be noise in the files.
double Rounded(double ms) { return std::round(ms * 1000.0) / 1000.0; }

bool IsSet(TimePoint time) { return time != TimePoint{}; }

template <typename OfStage>
Json StagesMsJson(const OfStage& of_stage) {
  Json out = Json::object();
  for (int i = 0; i < kNumStages; ++i) {
    const Stage stage = static_cast<Stage>(i);
    if (of_stage(stage) == Duration::zero()) continue;
    // Nanoseconds kept: the stages must sum to the wall time for whoever adds them up.
    out[std::string(StageName(stage))] = ToMilliseconds(of_stage(stage));
  }
  return out;
}

double MsSinceStart(const Ledger& ledger, TimePoint time) {
  return Rounded(ToMilliseconds(time - ledger.started()));
}

}  // namespace

std::string_view ClosedRequest::outcome() const {
  if (status == 499) return "cancelled";
  if (status == 429 || status == 503) return "refused";
  if (status >= 500) return "failed";
  if (status >= 400) return "bad_request";
  return code.empty() ? "ok" : "failed";
}

Json LedgerMsJson(const Ledger& ledger) {
  return StagesMsJson([&](Stage stage) { return ledger.stage(stage); });
}

Json WeirFieldJson(const std::string& request_id, const Ledger& ledger, double predicted_ttft_ms) {
  Json out = {{"request_id", request_id},
              {"ledger_ms", LedgerMsJson(ledger)},
              {"num_steps", ledger.num_steps},
              {"batch_mean", ledger.num_steps > 0 ? Rounded(ledger.batch_sum / ledger.num_steps) : 0.0}};
  if (predicted_ttft_ms >= 0) out["predicted_ttft_ms"] = Rounded(predicted_ttft_ms);
  return out;
}

Json ToJson(const ClosedRequest& request) {
  const Ledger& ledger = request.ledger;
  Json out = {
      {"number", request.number},
      {"boot_id", BootId()},
      {"id", request.id},
      {"key", request.owner.empty() ? Json(nullptr) : Json(request.owner)},
      {"path", request.path},
      {"model", request.model},
      {"status", request.status},
      {"outcome", request.outcome()},
      {"code", request.code.empty() ? Json(nullptr) : Json(request.code)},
      {"finish_reason", request.finish_reason.empty() ? Json(nullptr) : Json(request.finish_reason)},
      {"stream", request.is_stream},
      {"num_choices", request.num_choices},
      {"max_tokens", request.max_tokens},
      {"prompt_tokens", request.prompt_tokens},
      {"cached_tokens", request.cached_tokens},
      {"recomputed_tokens", ledger.num_recomputed_tokens},
      {"output_tokens", request.output_tokens},
      {"num_steps", ledger.num_steps},
      {"batch_mean", ledger.num_steps > 0 ? Rounded(ledger.batch_sum / ledger.num_steps) : 0.0},
      {"num_preemptions", ledger.num_preemptions},
      {"predicted_ttft_ms",
       request.predicted_ttft_ms < 0 ? Json(nullptr) : Json(Rounded(request.predicted_ttft_ms))},
      {"started_ns", ledger.started().time_since_epoch().count()},
      {"closed_ns", ledger.last_change().time_since_epoch().count()},
      {"wall_ms", ToMilliseconds(ledger.wall())},
      {"ttft_ms", IsSet(ledger.first_token) ? Json(MsSinceStart(ledger, ledger.first_token)) : Json(nullptr)},
      {"client_left_ms",
       IsSet(request.client_left) ? Json(MsSinceStart(ledger, request.client_left)) : Json(nullptr)},
      {"engine_share_ns", request.engine_share.count()},
      {"ledger_ms", LedgerMsJson(ledger)}};
  if (IsSet(ledger.first_token))
    out["to_first_ms"] = StagesMsJson([&](Stage stage) { return ledger.to_first(stage); });
  Json marks = Json::object();
  for (const auto& [name, at] : {std::pair<const char*, TimePoint>{"parsed", ledger.parsed},
                                 {"templated", ledger.templated},
                                 {"tokenized", ledger.tokenized},
                                 {"admitted", ledger.admitted},
                                 {"scheduled", ledger.scheduled},
                                 {"first_token", ledger.first_token},
                                 {"last_token", ledger.last_token},
                                 {"written", ledger.written}}) {
    if (IsSet(at)) marks[name] = MsSinceStart(ledger, at);
  }
  out["marks_ms"] = std::move(marks);
  return out;
}

std::string AccessLogLine(const ClosedRequest& request) {
  const Ledger& ledger = request.ledger;
  Json out = {{"time", WallClockRfc3339()}, {"request_id", request.id},
              {"method", request.method},   {"path", QuoteForMessage(request.path, kMaxLoggedBytes)},
              {"status", request.status},   {"outcome", request.outcome()}};
  if (!request.owner.empty()) out["key"] = request.owner;
  if (!request.code.empty()) out["code"] = request.code;
  if (!request.finish_reason.empty()) out["finish_reason"] = request.finish_reason;
  out["stream"] = request.is_stream;
  out["prompt_tokens"] = request.prompt_tokens;
  out["cached_tokens"] = request.cached_tokens;
  out["output_tokens"] = request.output_tokens;
  if (request.seed_known) out["seed"] = request.seed;
  out["wall_ms"] = Rounded(ToMilliseconds(ledger.wall()));
  if (IsSet(ledger.first_token)) out["ttft_ms"] = MsSinceStart(ledger, ledger.first_token);
  if (!request.ignored_fields.empty()) out["ignored_fields"] = request.ignored_fields;
  Json stages = Json::object();
  const Json exact = LedgerMsJson(ledger);
  for (const auto& [name, ms] : exact.items()) stages[name] = Rounded(ms.get<double>());
  out["ledger_ms"] = std::move(stages);
  return DumpJson(out);
}

std::string ServerTiming(const Ledger& ledger) {
  std::string out;
  for (int i = 0; i < kNumStages; ++i) {
    const Stage stage = static_cast<Stage>(i);
    if (ledger.stage(stage) == Duration::zero()) continue;
    fmt::format_to(std::back_inserter(out), "{}{};dur={:.3f}", out.empty() ? "" : ", ", StageName(stage),
                   ToMilliseconds(ledger.stage(stage)));
  }
  return out;
}

const std::string& BootId() {
  static const std::string id = [] {
    Result<std::string> read = ReadFile("/proc/sys/kernel/random/boot_id");
    std::string text = read.has_value() ? *read : MakeId("unknown-");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }();
  return id;
}

}  // namespace weir
