#include "perf/statistics/stage_causes.h"

namespace weir {

std::string CauseOfStage(const std::string& stage) {
  if (stage.starts_with("queue_")) return stage;
  if (stage == "prefill") return "own prefill";
  if (stage == "decode") return "decode";
  if (stage == "stall_prefill") return "stalled by others' prefill";
  if (stage == "preempted" || stage == "recompute") return "preemption";
  if (stage == "schedule" || stage == "sample" || stage == "grammar") return "scheduling and sampling";
  if (stage == "recv" || stage == "parse") return "HTTP and JSON";
  if (stage == "template" || stage == "tokenize") return "template and tokenise";
  if (stage == "admit" || stage == "handoff") return "admission wait";
  if (stage == "detokenize") return "detokenise";
  if (stage == "serialize" || stage == "send" || stage == "output_blocked") return "socket write";
  return kUnattributed;
}

std::optional<std::map<std::string, double>> CutResidence(const RequestRecord& record) {
  const Json* ledger = FindJson(record.server, {"ledger_ms"});
  if (ledger == nullptr || !ledger->is_object()) return std::nullopt;
  std::map<std::string, double> parts;
  double known = 0;
  for (const auto& [stage, value] : ledger->items()) {
    const std::optional<double> ms = JsonNumber(&value);
    if (!ms || stage.starts_with("overlap_")) continue;
    parts[CauseOfStage(stage)] += *ms;
    known += *ms;
  }
  parts["client wait"] = record.sent_ms - record.intended_ms;
  const double around = record.done_ms - record.sent_ms - known;
  const auto stamp = [&](std::string_view name) {
    return JsonNumber(FindJson(record.server, {"clock", name}));
  };
  const Json* same_boot = FindJson(record.server, {"clock", "same_boot"});
  const auto started = stamp("started_ms"), closed = stamp("closed_ms");
  if (same_boot != nullptr && same_boot->is_boolean() && same_boot->get<bool>() && started && closed) {
    parts["transport to the server"] = *started - record.sent_ms;
    // A server may close its account after the client has read the last byte; that is then no time of the client's.
    parts["transport and client read"] = record.done_ms - *closed;
    parts[kUnattributed] += around - (*started - record.sent_ms) - (record.done_ms - *closed);
  } else {
    parts["transport and client"] = around;
  }
  return parts;
}

std::optional<double> MeanBatch(std::span<const RequestRecord> records) {
  double weighted = 0, steps = 0;
  for (const RequestRecord& record : records) {
    const auto mean = JsonNumber(FindJson(record.server, {"batch_mean"}));
    const auto count = JsonNumber(FindJson(record.server, {"num_steps"}));
    if (record.outcome != Outcome::kOk || !mean || !count) continue;
    weighted += *mean * *count;
    steps += *count;
  }
  return steps > 0 ? std::optional(weighted / steps) : std::nullopt;
}

Json SlotJson(std::span<const RequestRecord> records, double slots_ms) {
  std::map<std::string, double> sums;
  double tokens = 0, total = 0;
  for (const RequestRecord& record : records) {
    if (record.outcome != Outcome::kOk || record.output_tokens <= 0) continue;
    const auto parts = CutResidence(record);
    if (!parts) continue;
    for (const auto& [cause, ms] : *parts) sums[cause] += ms;
    total += record.done_ms - record.intended_ms;
    tokens += record.output_tokens;
  }
  if (tokens <= 0) return nullptr;
  if (slots_ms > 0) {
    sums["idle"] += slots_ms - total;
    total = slots_ms;
  }
  Json causes = Json::object();
  for (const auto& [cause, ms] : sums) causes[cause] = ms / tokens;
  const std::optional<double> batch = MeanBatch(records);
  return {{"ms_per_token", std::move(causes)},
          {"total_ms_per_token", total / tokens},
          {"batch_mean", batch ? Json(*batch) : Json(nullptr)}};
}

}  // namespace weir
