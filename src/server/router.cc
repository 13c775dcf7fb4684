#include "server/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/utf8.h"
#include "server/adding_writer.h"
#include "server/closed_request.h"
#include "server/generation_exchange.h"
#include "server/read_only_routes.h"
#include "server/request_id.h"
#include "server/tokenize_exchange.h"

namespace weir {
namespace {

// Case, parameters and spaces aside.
bool IsJson(const std::string* content_type) {
  if (content_type == nullptr) return false;
  std::string name = content_type->substr(0, content_type->find(';'));
  std::erase_if(name, [](char c) { return c == ' ' || c == '\t'; });
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return name == "application/json";
}

void SendError(const HttpError& error, const std::string& request_id, ResponseWriter& writer,
               std::vector<HttpHeader> headers = {}) {
  HttpResponse response = ToResponse(error);
  response.headers.push_back({"X-Request-Id", request_id});
  for (HttpHeader& header : headers) response.headers.push_back(std::move(header));
  writer.Send(std::move(response));
}

}  // namespace

std::optional<HttpError> Router::Refuse(const HttpRequestHead& head, const RouteMatch& match) const {
  if (std::optional<HttpError> error = access_.RefuseOrigin(head)) return error;
  if (match.route == nullptr && match.allow.empty()) {
    return RouterError(404, "unknown_url", fmt::format("there is no {}", QuoteForMessage(head.path)));
  }
  if (match.route == nullptr) {
    return RouterError(405, "method_not_allowed",
                       fmt::format("{} does not take {}; it takes {}", QuoteForMessage(head.path),
                                   QuoteForMessage(head.method), match.allow));
  }
  if (match.route->method == "POST" && !IsJson(head.Find("Content-Type"))) {
    return RouterError(415, "unsupported_media_type",
                       "the body must be sent as Content-Type: application/json");
  }
  return std::nullopt;
}

// Before anything is reserved for it, and by the estimate that the engine's door uses too.
std::optional<HttpError> Router::Limit(const HttpRequestHead& head, Caller* caller) const {
  if (caller->key == nullptr || !caller->key->limits.any()) return std::nullopt;
  KeyLimiter::Decision decision = context_->key_limiter.Admit(
      *caller->key, context_->EstimatedPromptTokens(head.content_length), MonotonicClock::Get().Now());
  caller->grant = std::move(decision.grant);
  if (caller->grant != nullptr) return std::nullopt;
  return ToHttpError(decision.refusal, decision.retry_after);
}

void Router::LogRefusal(const HttpRequestHead& head, const Caller& caller, const std::string& request_id,
                        const HttpError& error) const {
  if (!LogEnabled(LogLevel::kInfo)) return;
  ClosedRequest refused;
  refused.id = request_id;
  refused.owner = caller.key == nullptr ? std::string() : caller.key->owner.name;
  refused.method = head.method;
  refused.path = head.path;
  refused.status = error.status;
  refused.code = error.body.code;
  refused.ledger.Begin(head.first_byte, Stage::kRecv);
  refused.ledger.Close(MonotonicClock::Get().Now());
  LogRaw(AccessLogLine(refused));
}

std::shared_ptr<HttpExchange> Router::OnHead(const HttpRequestHead& head,
                                             std::shared_ptr<ResponseWriter> writer, IoContext& io) {
  std::string request_id = RequestIdOf(head);
  if (head.method == "OPTIONS" && head.target == "*") {
    writer->Send({.headers = {{"Allow", "GET, HEAD, POST, OPTIONS"}, {"X-Request-Id", request_id}}});
    return nullptr;
  }
  if (const std::string* origin = head.Find("Origin"); origin != nullptr && access_.AllowsOrigin(*origin)) {
    writer =
        std::make_shared<AddingWriter>(std::move(writer), [origin = *origin] { return CorsHeaders(origin); });
    if (IsPreflight(head)) {
      HttpResponse response = AnswerPreflight();
      response.headers.push_back({"X-Request-Id", request_id});
      writer->Send(std::move(response));
      return nullptr;
    }
  }
  const RouteMatch match = FindRoute(head.method, head.path, listener_);
  Caller caller;
  caller.is_local = IsLoopbackName(head.remote_address);
  std::vector<HttpHeader> error_headers;
  std::optional<HttpError> error = access_.Identify(head, match, &caller);
  if (error) {
    error_headers.push_back({"WWW-Authenticate", "Bearer"});
  } else if (error = Refuse(head, match); error && error->status == 405) {
    error_headers.push_back({"Allow", match.allow});
  }
  if (!error && match.route->method == "POST") {
    if (caller.key != nullptr && caller.key->limits.any()) {
      writer = std::make_shared<AddingWriter>(std::move(writer), [context = context_, key = caller.key] {
        return context->key_limiter.Headers(*key, MonotonicClock::Get().Now());
      });
    }
    error = Limit(head, &caller);
  }
  if (error) {
    context_->metrics.CountRejected(error->body.code, "none");
    LogRefusal(head, caller, request_id, *error);
    SendError(*error, request_id, *writer, std::move(error_headers));
    return nullptr;
  }
  switch (match.route->id) {
    case RouteId::kChatCompletions:
    case RouteId::kCompletions:
      return GenerationExchange::Start(context_, head, match.route->id == RouteId::kChatCompletions,
                                       std::move(caller), std::move(request_id), std::move(writer), io);
    case RouteId::kTokenize:
    case RouteId::kDetokenize:
      return TokenizeExchange::Start(context_, match.route->id == RouteId::kTokenize, std::move(request_id),
                                     std::move(writer));
    default:
      break;
  }
  HttpResponse response = AnswerReadOnly(*match.route, match.rest, head.query, caller, context_);
  response.headers.push_back({"X-Request-Id", request_id});
  writer->Send(std::move(response));
  return nullptr;
}

std::string Router::GateErrorBody(int, std::string_view code, std::string_view message) {
  context_->metrics.CountGateError(code);
  return ErrorBody({std::string(message), "invalid_request_error", "", std::string(code)});
}

}  // namespace weir
