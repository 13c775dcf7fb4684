#include "perf/driver/http_target.h"

#include <memory>
#include <thread>
#include <utility>

#include "perf/driver/http_exchange.h"

namespace weir {
namespace {

std::string RequestBody(const TargetRequest& request, const HttpTargetOptions& options) {
  Json body;
  body["model"] = options.model;
  body["messages"] = Json::array({{{"role", "user"}, {"content", request.prompt}}});
  if (!request.messages.empty()) {
    // Written by us from a file that was read: it parses.
    if (Result<Json> messages = ParseJson(request.messages)) body["messages"] = std::move(*messages);
  }
  body["max_tokens"] = request.max_tokens;
  body["temperature"] = request.temperature;
  body["seed"] = request.seed;
  body["stream"] = request.stream;
  if (request.stream) body["stream_options"] = {{"include_usage", true}};
  if (request.ignore_eos) body["ignore_eos"] = true;
  if (options.return_token_ids) body["return_token_ids"] = true;
  return DumpJson(body);
}

}  // namespace

void HttpTarget::Send(TargetRequest request, TimePoint run_start,
                      std::function<void(RequestRecord)> on_done) {
  ClientRequest http;
  http.path = options_.base_path + "/v1/chat/completions";
  http.body = RequestBody(request, options_);
  http.timeout = request.timeout;
  http.headers = {{"Content-Type", "application/json"},
                  {"Accept", request.stream ? "text/event-stream" : "application/json"},
                  {"X-Request-Id", request.id},
                  {"X-Weir-Ledger", "1"}};
  if (options_.send_deadline) {
    const int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(request.timeout).count();
    http.headers.push_back({"x-request-timeout-ms", std::to_string(ms)});
  }
  // As the clients of OpenAI say it.
  if (request.attempt > 1)
    http.headers.push_back({"x-stainless-retry-count", std::to_string(request.attempt - 1)});
  if (!options_.api_key.empty()) http.headers.push_back({"Authorization", "Bearer " + options_.api_key});

  auto exchange = std::make_shared<HttpExchangeRecord>(request, run_start, options_.knows_ignore_eos);
  HttpClient::Callbacks callbacks;
  callbacks.on_head = [exchange](int status, const std::vector<HttpHeader>& headers) {
    exchange->OnHead(status, headers);
  };
  callbacks.on_data = [exchange, delay = options_.chunk_delay](std::string_view bytes, TimePoint at) {
    const size_t before = exchange->num_chunks();
    exchange->OnData(bytes, at);
    if (delay > Duration::zero())
      std::this_thread::sleep_for(delay * static_cast<int64_t>(exchange->num_chunks() - before));
  };
  callbacks.on_done = [exchange, done = std::move(on_done)](ClientResponse response) {
    done(exchange->Finish(response));
  };
  client_->Start(std::move(http), std::move(callbacks));
}

std::string ApiPath(const Url& url, std::string_view below_v1) {
  std::string base = url.path == "/" ? "" : url.path;
  if (base.ends_with("/v1")) base.resize(base.size() - 3);
  return base + "/v1" + std::string(below_v1);
}

}  // namespace weir
