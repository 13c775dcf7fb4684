#include "perf/recorder/request_record.h"

#include <fmt/format.h>

#include <cmath>

#include "base/sha256.h"

namespace weir {
namespace {

constexpr std::pair<Outcome, std::string_view> kOutcomes[] = {
    {Outcome::kOk, "ok"},
    {Outcome::kShed, "shed"},
    {Outcome::kFailed, "failed"},
    {Outcome::kCancelled, "cancelled"},
};

// Three decimals: a microsecond, which is finer than any of the clocks' users can tell apart.
Json Milliseconds(double ms) { return std::round(ms * 1000) / 1000; }
Json Milliseconds(const std::optional<double>& ms) { return ms ? Milliseconds(*ms) : Json(nullptr); }

std::optional<double> NumberOf(const Json& json, std::string_view key) {
  return JsonNumber(FindJson(json, {key}));
}
int IntOf(const Json& json, std::string_view key, int otherwise) {
  const std::optional<double> number = NumberOf(json, key);
  return number && std::fabs(*number) < 2e9 ? static_cast<int>(*number) : otherwise;
}
std::string TextOf(const Json& json, std::string_view key) {
  return JsonString(FindJson(json, {key})).value_or("");
}

std::optional<int> OptionalInt(const Json& json, std::string_view key) {
  if (!NumberOf(json, key)) return std::nullopt;
  return IntOf(json, key, 0);
}
Json IntOrNull(const std::optional<int>& number) { return number ? Json(*number) : Json(nullptr); }

Json ErrorToJson(const RecordError& error) {
  return {{"class", error.error_class},
          {"http_status", error.http_status == 0 ? Json(nullptr) : Json(error.http_status)},
          {"phase", error.phase.empty() ? Json(nullptr) : Json(error.phase)},
          {"message", error.message}};
}

RecordError ErrorFromJson(const Json& json) {
  return {TextOf(json, "class"), IntOf(json, "http_status", 0), TextOf(json, "phase"),
          TextOf(json, "message")};
}

}  // namespace

std::string HashTokenIds(const std::vector<int32_t>& ids) {
  // 64 bits tell outputs apart; this is no secret.
  const std::string_view bytes(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t));
  return Sha256(bytes).substr(0, 16);
}

std::string_view OutcomeName(Outcome outcome) {
  for (const auto& [value, name] : kOutcomes) {
    if (value == outcome) return name;
  }
  return "";
}

void ShiftTimes(double by_ms, RequestRecord* record) {
  record->intended_ms += by_ms;
  record->sent_ms += by_ms;
  record->done_ms += by_ms;
  for (std::optional<double>* at :
       {&record->first_byte_ms, &record->first_token_ms, &record->last_token_ms}) {
    if (*at) **at += by_ms;
  }
  for (double& at : record->token_times_ms) at += by_ms;
  if (!record->server.is_object() || !record->server.contains("clock")) return;
  for (auto& [name, value] : record->server["clock"].items()) {
    if (value.is_number()) value = value.get<double>() + by_ms;
  }
}

Json ToJson(const RequestRecord& record) {
  Json json;
  json["id"] = record.id;
  json["seq"] = record.seq;
  json["load_stage"] = record.load_stage;
  json["attempt"] = record.attempt;
  if (record.retried) json["retried"] = true;
  json["prompt_id"] = record.prompt_id;
  json["prompt_tokens"] = record.prompt_tokens;
  json["prompt_tokens_target"] = IntOrNull(record.prompt_tokens_target);
  json["cached_tokens"] = IntOrNull(record.cached_tokens);
  json["max_tokens"] = record.max_tokens;
  json["output_tokens"] = record.output_tokens;
  json["output_tokens_local"] = IntOrNull(record.output_tokens_local);
  json["intended_ms"] = Milliseconds(record.intended_ms);
  json["sent_ms"] = Milliseconds(record.sent_ms);
  json["first_byte_ms"] = Milliseconds(record.first_byte_ms);
  json["first_token_ms"] = Milliseconds(record.first_token_ms);
  Json times = Json::array();
  for (const double at : record.token_times_ms) times.push_back(Milliseconds(at));
  json["token_times_ms"] = std::move(times);
  json["chunk_sizes"] = record.chunk_sizes;
  json["last_token_ms"] = Milliseconds(record.last_token_ms);
  json["done_ms"] = Milliseconds(record.done_ms);
  json["connect_ms"] = Milliseconds(record.connect_ms);
  json["outcome"] = OutcomeName(record.outcome);
  json["error"] = record.error ? ErrorToJson(*record.error) : Json(nullptr);
  json["retry_after_s"] = record.retry_after_s ? Json(*record.retry_after_s) : Json(nullptr);
  json["finish_reason"] = record.finish_reason.empty() ? Json(nullptr) : Json(record.finish_reason);
  json["slo_met"] = record.slo_met ? Json(*record.slo_met) : Json(nullptr);
  json["output_hash"] = record.output_hash.empty() ? Json(nullptr) : Json(record.output_hash);
  json["server"] = record.server;
  return json;
}

Result<RequestRecord> RequestRecordFromJson(const Json& json) {
  RequestRecord record;
  const std::string outcome = TextOf(json, "outcome");
  bool known = false;
  for (const auto& [value, name] : kOutcomes) {
    if (name == outcome) {
      record.outcome = value;
      known = true;
    }
  }
  if (!known) {
    return DataLoss(
        fmt::format("a request record has outcome \"{}\", expected ok, shed, failed or cancelled", outcome));
  }
  for (const std::string_view key : {"intended_ms", "sent_ms", "done_ms"}) {
    if (!NumberOf(json, key)) return DataLoss(fmt::format("a request record lacks the number \"{}\"", key));
  }
  record.id = TextOf(json, "id");
  record.seq = IntOf(json, "seq", 0);
  record.load_stage = IntOf(json, "load_stage", 0);
  record.attempt = IntOf(json, "attempt", 1);
  if (const Json* retried = FindJson(json, {"retried"}); retried != nullptr)
    record.retried = *retried == true;
  record.prompt_id = TextOf(json, "prompt_id");
  record.prompt_tokens = IntOf(json, "prompt_tokens", 0);
  record.prompt_tokens_target = OptionalInt(json, "prompt_tokens_target");
  record.cached_tokens = OptionalInt(json, "cached_tokens");
  record.max_tokens = IntOf(json, "max_tokens", 0);
  record.output_tokens = IntOf(json, "output_tokens", 0);
  record.output_tokens_local = OptionalInt(json, "output_tokens_local");
  record.output_hash = TextOf(json, "output_hash");
  record.intended_ms = *NumberOf(json, "intended_ms");
  record.sent_ms = *NumberOf(json, "sent_ms");
  record.first_byte_ms = NumberOf(json, "first_byte_ms");
  record.first_token_ms = NumberOf(json, "first_token_ms");
  record.last_token_ms = NumberOf(json, "last_token_ms");
  record.done_ms = *NumberOf(json, "done_ms");
  record.connect_ms = NumberOf(json, "connect_ms");
  record.retry_after_s = NumberOf(json, "retry_after_s");
  record.finish_reason = TextOf(json, "finish_reason");
  if (const Json* times = FindJson(json, {"token_times_ms"}); times != nullptr && times->is_array()) {
    for (const Json& at : *times) record.token_times_ms.push_back(JsonNumber(&at).value_or(0));
  }
  if (const Json* sizes = FindJson(json, {"chunk_sizes"}); sizes != nullptr && sizes->is_array()) {
    for (const Json& size : *sizes)
      record.chunk_sizes.push_back(static_cast<int>(JsonNumber(&size).value_or(0)));
  }
  if (const Json* error = FindJson(json, {"error"}); error != nullptr && error->is_object()) {
    record.error = ErrorFromJson(*error);
  }
  if (const Json* met = FindJson(json, {"slo_met"}); met != nullptr && met->is_boolean()) {
    record.slo_met = met->get<bool>();
  }
  if (const Json* server = FindJson(json, {"server"})) record.server = *server;
  return record;
}

}  // namespace weir
