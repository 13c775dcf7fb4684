#include "server/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "server/generation_exchange.h"
#include "server/read_only_routes.h"
#include "server/request_id.h"
#include "server/tokenize_exchange.h"

namespace weir {
namespace {

std::string HostName(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(0, host.find(']') + 1));
  return std::string(host.substr(0, host.find(':')));
}

bool IsLoopback(const std::string& name) {
  return name == "localhost" || name == "[::1]" ||
         (name.starts_with("127.") && name.find_first_not_of("0123456789.") == std::string::npos);
}

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
  // Without keys a web page of another site must not reach the server through its visitor's browser.
  if (!context_->options.insecure_no_auth) {
    if (const std::string* host = head.Find("Host")) {
      const std::string name = HostName(*host);
      const auto& allowed = context_->options.allowed_hosts;
      if (!IsLoopback(name) && std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
        return RouterError(
            403, "host_not_allowed",
            fmt::format("host \"{}\" is not allowed; start the server with --allowed-host to allow it",
                        QuoteForMessage(name)));
      }
    }
  }
  if (head.Find("Origin") != nullptr) {
    return RouterError(403, "origin_not_allowed", "requests from web pages are not allowed");
  }
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

std::shared_ptr<HttpExchange> Router::OnHead(const HttpRequestHead& head,
                                             std::shared_ptr<ResponseWriter> writer, IoContext& io) {
  std::string request_id = RequestIdOf(head);
  if (head.method == "OPTIONS" && head.target == "*") {
    writer->Send({.headers = {{"Allow", "GET, HEAD, POST, OPTIONS"}, {"X-Request-Id", request_id}}});
    return nullptr;
  }
  const RouteMatch match = FindRoute(head.method, head.path, listener_);
  if (const std::optional<HttpError> error = Refuse(head, match)) {
    std::vector<HttpHeader> headers;
    if (error->status == 405) headers.push_back({"Allow", match.allow});
    SendError(*error, request_id, *writer, std::move(headers));
    return nullptr;
  }
  switch (match.route->id) {
    case RouteId::kChatCompletions:
    case RouteId::kCompletions:
      return GenerationExchange::Start(context_, head, match.route->id == RouteId::kChatCompletions,
                                       std::move(request_id), std::move(writer), io);
    case RouteId::kTokenize:
    case RouteId::kDetokenize:
      return TokenizeExchange::Start(context_, match.route->id == RouteId::kTokenize, std::move(request_id),
                                     std::move(writer));
    default:
      break;
  }
  HttpResponse response = AnswerReadOnly(*match.route, match.rest, head.query, context_);
  response.headers.push_back({"X-Request-Id", request_id});
  writer->Send(std::move(response));
  return nullptr;
}

std::string Router::GateErrorBody(int status, std::string_view code, std::string_view message) {
  context_->metrics.CountGateError(status);
  return ErrorBody({std::string(message), "invalid_request_error", "", std::string(code)});
}

}  // namespace weir
