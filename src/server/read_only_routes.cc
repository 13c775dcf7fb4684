#include "server/read_only_routes.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "base/version.h"
#include "net/openai/response_json.h"
#include "server/access.h"
#include "server/openapi.h"
#include "server/status_http.h"

namespace weir {
namespace {

HttpResponse JsonResponse(const Json& body, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.body = DumpJson(body);
  return response;
}

HttpResponse Models(const std::string* id, ServerContext* context) {
  const Engine* engine = context->engine.load(std::memory_order_acquire);
  if (engine == nullptr) return ToResponse(ToHttpError(context->Availability()));
  const ServerOptions& options = context->options;
  const auto card = [&](int adapter) {
    return ModelJson(
        adapter == 0 ? options.model_name : options.adapter_names[static_cast<size_t>(adapter) - 1],
        adapter == 0 ? "" : options.model_name, context->created_s, engine->max_model_len());
  };
  if (id == nullptr) {
    std::vector<Json> all;
    for (int i = 0; i <= static_cast<int>(options.adapter_names.size()); ++i) all.push_back(card(i));
    HttpResponse response;
    response.body = ModelListBody(all);
    return response;
  }
  const Result<int> found = context->FindModel(*id);
  return found.has_value() ? JsonResponse(card(*found)) : ToResponse(ToHttpError(found.error()));
}

// Alive, also while it loads or drains; whoever restarts what is not alive must not restart those.
HttpResponse Health(const ServerContext& context) {
  if (context.stalled.load()) return JsonResponse({{"status", "stalled"}}, 503);
  return JsonResponse({{"status", "ok"}});
}

HttpResponse Ready(const ServerContext& context) {
  const Status available = context.Availability();
  const bool is_draining =
      available.reason() == "draining" || context.leaving.load(std::memory_order_acquire);
  const bool is_stalled = context.stalled.load();
  const Engine* const engine = context.engine.load(std::memory_order_acquire);
  const bool is_failing = engine != nullptr && engine->failing();
  if (available.ok() && !is_draining && !is_stalled && !is_failing) return JsonResponse({{"ready", true}});
  HttpResponse response = JsonResponse({{"ready", false},
                                        {"reason", is_failing    ? "engine_failing"
                                                   : is_draining ? "draining"
                                                   : is_stalled  ? "stalled"
                                                                 : "loading"}},
                                       503);
  response.headers.push_back({"Retry-After", "1"});
  return response;
}

// Whoever measures looks for the control listener where this says it is, so it is only told to who can reach it.
bool ReachesControl(const Caller& caller, const ServerOptions& options) {
  return options.has_control && (caller.is_local || !IsLoopbackName(options.control_host));
}

HttpResponse VersionInfo(const ServerContext& context, const Caller& caller) {
  const ServerOptions& options = context.options;
  Json body = {
      {"name", "weir"},
      {"version", Version()},
      {"commit", Commit()},
      {"compiler", Compiler()},
      {"build_type", BuildType()},
      {"model", options.model_name},
      {"boot_id", BootId()},
      {"control_port", ReachesControl(caller, options) ? Json(context.control_port.load()) : Json(nullptr)},
      {"modes",
       {{"scheduler", options.sequential ? "sequential" : "continuous"},
        {"queue", options.bounded_queue ? "bounded" : "unbounded"},
        {"on_disconnect", options.cancel_on_disconnect ? "cancel" : "ignore"},
        {"insecure_no_auth", options.insecure_no_auth},
        {"keys", options.keys != nullptr}}}};
  if (const Engine* engine = context.engine.load(std::memory_order_acquire)) {
    const EngineOptions& chosen = engine->options();
    body["kernels"] = engine->model().isa();
    body["threads"] = chosen.num_threads;
    body["max_num_seqs"] = chosen.max_num_seqs;
    body["max_num_batched_tokens"] = chosen.max_num_batched_tokens;
    body["max_num_queued_reqs"] = chosen.max_num_queued_reqs;
    body["itl_objective_ms"] = ToMilliseconds(chosen.itl_objective);
    body["max_model_len"] = engine->max_model_len();
    body["kv_cache_dtype"] = KvDtypeName(chosen.kv_dtype);
    body["kv_blocks"] = {{"total", engine->num_kv_blocks()}, {"free", engine->num_free_kv_blocks()}};
  }
  return JsonResponse(body);
}

// What the operator asks first when it is slow: who waits for what, and how much is left.
HttpResponse State(const ServerContext& context) {
  Json body = {{"draining", context.draining.load(std::memory_order_acquire)},
               {"connections", context.NumConnections()},
               {"active_requests", context.num_active.load(std::memory_order_acquire)}};
  if (const Engine* engine = context.engine.load(std::memory_order_acquire)) {
    const LoadSnapshot load = engine->Load();
    const EngineOptions& options = engine->options();
    body["running"] = load.num_running;
    body["waiting"] = load.num_waiting;
    body["queued_tokens"] = load.queued_tokens;
    body["limits"] = {{"running", options.max_num_seqs},
                      {"waiting", options.bounded_queue ? Json(options.max_num_queued_reqs) : Json(nullptr)},
                      {"tokens_per_step", options.max_num_batched_tokens}};
    body["kv_blocks"] = {{"total", engine->num_kv_blocks()},
                         {"free", engine->num_free_kv_blocks()},
                         {"peak", engine->peak_kv_blocks()}};
    body["prefill_tokens_per_s"] = load.prefill_tokens_per_s;
    body["step_ms"] = 1e3 * load.step_seconds;
    const TimePoint ended = engine->last_step_ended();
    body["last_step_age_s"] =
        ended == TimePoint{} ? Json(nullptr) : Json(ToSeconds(MonotonicClock::Get().Now() - ended));
  }
  return JsonResponse(body);
}

HttpResponse Metrics(ServerContext* context) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  const Engine* engine = context->engine.load(std::memory_order_acquire);
  if (const std::shared_ptr<const KeyRing> keys = context->Keys(); keys != nullptr && engine != nullptr) {
    for (const ApiKey& key : keys->keys())
      context->metrics.SetServedCost(key.owner.name, engine->ServedCost(key.owner.name));
  }
  response.body = context->metrics.Render(engine, {.num_connections = context->NumConnections(),
                                                   .num_deferred = context->grammars.num_waiting(),
                                                   .memory = context->memory.load()});
  return response;
}

// `owner`: the key it must have been made with; null for any.
HttpResponse OneLedger(const std::string& id, const std::string* owner, const ServerContext& context) {
  const std::optional<ClosedRequest> found = context.ring.Find(id, owner);
  if (found) return JsonResponse(ToJson(*found));
  return ToResponse(RouterError(404, "unknown_request",
                                fmt::format("no closed request has the id \"{}\"", QuoteForMessage(id))));
}

// A number in the query, or `otherwise`.
uint64_t QueryNumber(std::string_view query, std::string_view name, uint64_t otherwise) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (!pair.starts_with(name) || pair.size() <= name.size() || pair[name.size()] != '=') continue;
    const std::string_view text = pair.substr(name.size() + 1);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
  }
  return otherwise;
}

// One line per request, oldest first; `since` is the number of the last one already known.
HttpResponse ManyLedgers(const std::string& query, const ServerContext& context) {
  HttpResponse response;
  response.content_type = "application/x-ndjson";
  response.headers.push_back({"X-Weir-Boot-Id", BootId()});
  const uint64_t limit = QueryNumber(query, "limit", context.options.ledger_ring);
  for (const ClosedRequest& request : context.ring.After(QueryNumber(query, "since", 0), limit)) {
    response.body += DumpJson(ToJson(request));
    response.body += '\n';
  }
  return response;
}

}  // namespace

HttpResponse AnswerReadOnly(const Route& route, const std::string& rest, const std::string& query,
                            const Caller& caller, ServerContext* context) {
  switch (route.id) {
    case RouteId::kModels:
      return Models(nullptr, context);
    case RouteId::kModel:
      return Models(&rest, context);
    case RouteId::kHealth:
      return Health(*context);
    case RouteId::kReady:
      return Ready(*context);
    case RouteId::kMetrics:
      return Metrics(context);
    case RouteId::kVersion:
      return VersionInfo(*context, caller);
    case RouteId::kIsSleeping:
      return JsonResponse({{"is_sleeping", false}});
    case RouteId::kOpenApi:
      return JsonResponse(OpenApiDocument());
    case RouteId::kLedger:
      return OneLedger(rest, caller.key != nullptr ? &caller.key->owner.name : nullptr, *context);
    case RouteId::kDebugRequest:
      return OneLedger(rest, nullptr, *context);
    case RouteId::kDebugState:
      return State(*context);
    case RouteId::kDebugRequests:
      return ManyLedgers(query, *context);
    default:
      break;
  }
  return ToResponse(ToHttpError(Internal("the route has no handler")));
}

}  // namespace weir
