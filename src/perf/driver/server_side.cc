#include "perf/driver/server_side.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <utility>

#include "base/file.h"

namespace weir {
namespace {

constexpr Duration kPatience = std::chrono::seconds(5);

const std::string& LocalBootId() {
  static const std::string id = [] {
    std::string text = ReadFile("/proc/sys/kernel/random/boot_id").has_value()
                           ? *ReadFile("/proc/sys/kernel/random/boot_id")
                           : std::string();
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }();
  return id;
}

// When the server did what, in ms from the run's start; null for a server that does not say.
Json ClockOf(const Json& ledger, TimePoint run_start) {
  const auto boot = JsonString(FindJson(ledger, {"boot_id"}));
  const auto started = JsonNumber(FindJson(ledger, {"started_ns"}));
  if (!boot || !started) return nullptr;
  const double zero = static_cast<double>(run_start.time_since_epoch().count());
  const double started_ms = (*started - zero) / 1e6;
  Json out = {{"same_boot", *boot == LocalBootId()}, {"started_ms", started_ms}};
  for (const auto& [name, mark] : {std::pair{"parsed_ms", "parsed"},
                                   {"tokenized_ms", "tokenized"},
                                   {"scheduled_ms", "scheduled"},
                                   {"first_token_ms", "first_token"},
                                   {"last_token_ms", "last_token"},
                                   {"written_ms", "written"}}) {
    const auto ms = JsonNumber(FindJson(ledger, {"marks_ms", mark}));
    out[name] = ms ? Json(started_ms + *ms) : Json(nullptr);
  }
  const auto closed = JsonNumber(FindJson(ledger, {"closed_ns"}));
  out["closed_ms"] = closed ? Json((*closed - zero) / 1e6) : Json(nullptr);
  return out;
}

}  // namespace

std::optional<double> MetricValue(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (!line.starts_with(name) || line.size() == name.size()) continue;
    if (line[name.size()] != ' ' && line[name.size()] != '{') continue;
    const size_t space = line.rfind(' ');
    double value = 0;
    const auto [stop, error] = std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
    if (error == std::errc()) return value;
  }
  return std::nullopt;
}

ServerSide::ServerSide(Url url, std::string base_path, std::string api_key, std::string control_url)
    : url_(std::move(url)),
      base_path_(std::move(base_path)),
      api_key_(std::move(api_key)),
      control_url_(std::move(control_url)),
      client_(url_) {}

ClientResponse ServerSide::Get(HttpClient& client, const std::string& path, Duration timeout) {
  ClientRequest request;
  request.method = "GET";
  request.path = path;
  request.timeout = timeout;
  if (!api_key_.empty()) request.headers.push_back({"Authorization", "Bearer " + api_key_});
  return client.Call(std::move(request));
}

Result<std::string> ServerSide::FirstModel() {
  const ClientResponse response = Get(client_, base_path_ + "/v1/models", kPatience);
  const std::string where = fmt::format("http://{}:{}{}", url_.host, url_.port, base_path_);
  if (response.failure != ClientFailure::kNone) {
    return Unavailable(
        fmt::format("{} cannot be reached: {}; start a server with 'weir serve' or check --url", where,
                    response.message));
  }
  if (response.status == 401 || response.status == 403) {
    return Unauthenticated(fmt::format("{} answers HTTP {}: set the API key in the variable WEIR_API_KEY",
                                       where, response.status));
  }
  if (response.status != 200) {
    return Unavailable(
        fmt::format("{}/v1/models answers HTTP {}, expected 200; is this an OpenAI-compatible server?", where,
                    response.status));
  }
  const Result<Json> body = ParseJson(response.body);
  const Json* list = body ? FindJson(*body, {"data"}) : nullptr;
  if (list == nullptr || !list->is_array() || list->empty()) {
    return Unavailable(fmt::format("{}/v1/models lists no model; name one with --model", where));
  }
  const auto id = JsonString(FindJson(list->front(), {"id"}));
  if (!id)
    return Unavailable(fmt::format("{}/v1/models has a model without an id; name one with --model", where));
  return *id;
}

void ServerSide::Discover() {
  const ClientResponse response = Get(client_, base_path_ + "/version", kPatience);
  if (response.failure == ClientFailure::kNone && response.status == 200) {
    if (const Result<Json> body = ParseJson(response.body); body && body->is_object()) {
      version_ = *body;
      const std::string name = JsonString(FindJson(version_, {"name"})).value_or("");
      is_weir_ = name == "weir" || FindJson(version_, {"weir"}) != nullptr ||
                 FindJson(version_, {"control_port"}) != nullptr ||
                 FindJson(version_, {"control_url"}) != nullptr;
    }
  }
  if (control_url_.empty()) {
    if (const auto url = JsonString(FindJson(version_, {"control_url"}))) {
      control_url_ = *url;
    } else if (const auto port = JsonNumber(FindJson(version_, {"control_port"})); port && *port > 0) {
      control_url_ = fmt::format("http://{}:{}", url_.host, static_cast<int>(*port));
    } else if (is_weir_ && FindJson(version_, {"control_port"}) == nullptr) {
      // An older server that does not say; one that says null has no control listener.
      control_url_ = fmt::format("http://{}:{}", url_.host, url_.port + 1);
    }
  }
  if (control_url_.empty()) return;
  if (const Result<Url> control = Url::Parse(control_url_)) control_ = std::make_unique<HttpClient>(*control);
}

std::optional<ServerGauges> ServerSide::ReadGauges() {
  if (!has_metrics_) return std::nullopt;
  const ClientResponse response =
      Get(control_ != nullptr ? *control_ : client_,
          control_ != nullptr ? "/metrics" : base_path_ + "/metrics", std::chrono::seconds(1));
  if (response.failure != ClientFailure::kNone || response.status != 200) {
    // A busy server may miss one look; a server that says no has none.
    has_metrics_ = response.failure != ClientFailure::kNone;
    return std::nullopt;
  }
  ServerGauges gauges;
  gauges.running = MetricValue(response.body, "vllm:num_requests_running");
  gauges.waiting = MetricValue(response.body, "vllm:num_requests_waiting");
  gauges.kv_used_ratio = MetricValue(response.body, "vllm:kv_cache_usage_perc");
  gauges.cpu_seconds = MetricValue(response.body, "process_cpu_seconds_total");
  return gauges;
}

Result<int> ServerSide::CountTokens(const std::string& model, const std::string& text) {
  ClientRequest request;
  request.path = base_path_ + "/tokenize";
  // `content` is what llama.cpp calls the prompt.
  Json body = {{"model", model}, {"prompt", text}, {"add_special_tokens", false}};
  if (!is_weir_) body["content"] = text;
  request.body = DumpJson(body);
  request.timeout = kPatience;
  request.headers = {{"Content-Type", "application/json"}};
  if (!api_key_.empty()) request.headers.push_back({"Authorization", "Bearer " + api_key_});
  const ClientResponse response = client_.Call(std::move(request));
  if (response.failure == ClientFailure::kNone && response.status == 200) {
    if (const Result<Json> answer = ParseJson(response.body)) {
      if (const auto count = JsonNumber(FindJson(*answer, {"count"}))) return static_cast<int>(*count);
      if (const Json* tokens = FindJson(*answer, {"tokens"}); tokens != nullptr && tokens->is_array())
        return static_cast<int>(tokens->size());
    }
  }
  return Unavailable(
      fmt::format("the server's /tokenize does not count tokens (HTTP {}), and this dataset needs prompts or "
                  "answers of a known length; use builtin or jsonl",
                  response.status));
}

bool ServerSide::is_local() const {
  return url_.host == "localhost" || url_.host == "::1" || url_.host.starts_with("127.");
}

int ServerSide::JoinLedgers(TimePoint run_start, std::vector<RequestRecord>* records) {
  if (control_ == nullptr) return 0;
  const ClientResponse response = Get(*control_, "/debug/requests?limit=65536", std::chrono::seconds(30));
  if (response.failure != ClientFailure::kNone || response.status != 200) return 0;
  std::map<std::string, Json> ledgers;
  std::string_view rest = response.body;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (line.empty()) continue;
    Result<Json> json = ParseJson(line);
    if (!json) continue;
    const auto id = JsonString(FindJson(*json, {"id"}));
    if (id && FindJson(*json, {"ledger_ms"}) != nullptr) ledgers[*id] = std::move(*json);
  }
  int found = 0;
  for (RequestRecord& record : *records) {
    const auto ledger = ledgers.find(record.id);
    if (ledger == ledgers.end()) continue;
    Json server = Json::object();
    for (const char* key : {"ledger_ms", "num_steps", "batch_mean", "predicted_ttft_ms", "prompt_tokens",
                            "cached_tokens", "output_tokens"}) {
      const Json* value = FindJson(ledger->second, {key});
      server[key] = value != nullptr ? *value : Json(nullptr);
    }
    server["clock"] = ClockOf(ledger->second, run_start);
    record.server = std::move(server);
    ++found;
  }
  return found;
}

}  // namespace weir
