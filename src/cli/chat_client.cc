#include "cli/chat_client.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "base/mutex.h"
#include "cli/client_key.h"
#include "net/http/sse.h"

namespace weir {
namespace {

// How often a waiting question looks whether it was stopped.
constexpr auto kPoll = std::chrono::milliseconds(20);
constexpr Duration kAnswerTimeout = std::chrono::seconds(3600);

// What the connection's thread and the asking thread share.
struct Exchange {
  Mutex mutex;
  CondVar changed;
  std::optional<ClientResponse> response GUARDED_BY(mutex);
  // Connection's thread only, until `response` is there.
  SseParser parser;
  ChatAnswer answer;
  TimePoint first_text{};
  int status = 0;
  std::string error_body;
  Status failure;
};

std::string ErrorMessage(const std::string& body, int status) {
  const Result<Json> json = ParseJson(body);
  const std::optional<std::string> message =
      json.has_value() ? JsonString(FindJson(*json, {"error", "message"})) : std::nullopt;
  return fmt::format("the server answered {}: {}", status, message.value_or("(no message)"));
}

void OnEvent(std::string_view data, Exchange& exchange,
             const std::function<void(std::string_view)>& on_text) {
  if (data == "[DONE]") return;
  const Result<Json> json = ParseJson(data);
  if (!json.has_value()) {
    exchange.failure = Unavailable("the server sent an event that is no JSON");
    return;
  }
  if (FindJson(*json, {"error"}) != nullptr) {
    exchange.failure = Unavailable(ErrorMessage(std::string(data), exchange.status));
    return;
  }
  if (const auto tokens = JsonNumber(FindJson(*json, {"usage", "completion_tokens"}))) {
    exchange.answer.num_tokens = static_cast<int>(*tokens);
  }
  const Json* choices = FindJson(*json, {"choices"});
  if (choices == nullptr || !choices->is_array() || choices->empty()) return;
  const Json& choice = (*choices)[0];
  if (const auto reason = JsonString(FindJson(choice, {"finish_reason"})))
    exchange.answer.finish_reason = *reason;
  const auto text = JsonString(FindJson(choice, {"delta", "content"}));
  if (!text || text->empty()) return;
  if (exchange.answer.text.empty()) exchange.first_text = MonotonicClock::Get().Now();
  exchange.answer.text += *text;
  on_text(*text);
}

void AddKey(ClientRequest* request) {
  if (const std::string key = ClientKey(); !key.empty())
    request->headers.push_back({"Authorization", "Bearer " + key});
}

Status Unreachable(const Url& url, const ClientResponse& response) {
  return Unavailable(fmt::format("no answer from http://{}:{}: {}; is 'weir serve' running there?", url.host,
                                 url.port, response.message));
}

}  // namespace

Result<ChatClient> ChatClient::Connect(const std::string& url, const std::string& model) {
  WEIR_ASSIGN_OR_RETURN(Url parsed, Url::Parse(url));
  ChatClient client(std::move(parsed));
  client.model_ = model;
  if (!model.empty()) return client;
  ClientRequest request;
  request.method = "GET";
  request.path = client.PathOf("/v1/models");
  AddKey(&request);
  const ClientResponse response = client.http_->Call(std::move(request));
  if (response.failure != ClientFailure::kNone) return Unreachable(client.url_, response);
  if (response.status != 200) return Unavailable(ErrorMessage(response.body, response.status));
  const Result<Json> body = ParseJson(response.body);
  const Json* models = body.has_value() ? FindJson(*body, {"data"}) : nullptr;
  if (models == nullptr || !models->is_array() || models->empty()) {
    return Unavailable(fmt::format("{} lists no model; name one with --served-model", url));
  }
  client.model_ = JsonString(FindJson((*models)[0], {"id"})).value_or("");
  return client;
}

// A base URL may end in /v1, as OpenAI clients have it.
std::string ChatClient::PathOf(std::string_view route) const {
  std::string base = url_.path == "/" ? "" : url_.path;
  if (base.ends_with("/v1")) base.resize(base.size() - 3);
  return base + std::string(route);
}

void ChatClient::Reset(const std::string& system) {
  messages_ = Json::array();
  if (!system.empty()) messages_.push_back({{"role", "system"}, {"content", system}});
}

Result<ChatAnswer> ChatClient::Ask(const std::string& question, double temperature, int max_tokens,
                                   const std::atomic<bool>& stop,
                                   const std::function<void(std::string_view)>& on_text) {
  Json messages = messages_;
  messages.push_back({{"role", "user"}, {"content", question}});
  Json body = {{"model", model_},
               {"messages", messages},
               {"temperature", temperature},
               {"stream", true},
               {"stream_options", {{"include_usage", true}}}};
  if (max_tokens > 0) body["max_tokens"] = max_tokens;
  ClientRequest request;
  request.path = PathOf("/v1/chat/completions");
  request.headers = {{"Content-Type", "application/json"}};
  AddKey(&request);
  request.body = DumpJson(body);
  request.timeout = kAnswerTimeout;

  auto exchange = std::make_shared<Exchange>();
  HttpClient::Callbacks callbacks;
  callbacks.on_head = [exchange](int status, const std::vector<HttpHeader>&) { exchange->status = status; };
  callbacks.on_data = [exchange, on_text](std::string_view bytes, TimePoint) {
    if (exchange->status != 200) {
      exchange->error_body += bytes;
      return;
    }
    const Status fed =
        exchange->parser.Feed(bytes, [&](std::string_view data) { OnEvent(data, *exchange, on_text); });
    if (!fed.ok()) exchange->failure = fed;
  };
  callbacks.on_done = [exchange](ClientResponse response) {
    MutexLock lock(exchange->mutex);
    exchange->response = std::move(response);
    exchange->changed.NotifyAll();
  };
  const TimePoint sent = MonotonicClock::Get().Now();
  http_->Start(std::move(request), std::move(callbacks));
  {
    MutexLock lock(exchange->mutex);
    while (!exchange->response && !stop.load()) exchange->changed.WaitFor(exchange->mutex, kPoll);
    if (!exchange->response) {
      // Closing the connection is what tells the server to stop.
      exchange->mutex.Unlock();
      http_ = std::make_unique<HttpClient>(url_);
      exchange->mutex.Lock();
      return Cancelled("stopped");
    }
  }
  const ClientResponse& response = *exchange->response;
  if (response.failure != ClientFailure::kNone) return Unreachable(url_, response);
  if (response.status != 200) return Unavailable(ErrorMessage(exchange->error_body, response.status));
  if (!exchange->failure.ok()) return exchange->failure;
  ChatAnswer answer = std::move(exchange->answer);
  answer.total = response.done - sent;
  answer.to_first = exchange->first_text == TimePoint{} ? answer.total : exchange->first_text - sent;
  messages.push_back({{"role", "assistant"}, {"content", answer.text}});
  messages_ = std::move(messages);
  return answer;
}

}  // namespace weir
