#include "server/access.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "base/utf8.h"

namespace weir {
namespace {

std::string HostName(std::string_view host) {
  if (host.starts_with('[')) return std::string(host.substr(0, host.find(']') + 1));
  return std::string(host.substr(0, host.find(':')));
}

bool EqualsLower(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

// The token of the only Authorization field; null for none, several, or another scheme.
std::optional<std::string_view> BearerToken(const HttpRequestHead& head) {
  const std::string* found = nullptr;
  for (const HttpHeader& header : head.headers) {
    if (!EqualsLower(header.name, "authorization")) continue;
    if (found != nullptr) return std::nullopt;  // two readings of who asks are one too many
    found = &header.value;
  }
  if (found == nullptr) return std::nullopt;
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view value = *found;
  if (value.size() <= kScheme.size() || !EqualsLower(value.substr(0, kScheme.size()), kScheme))
    return std::nullopt;
  std::string_view token = value.substr(kScheme.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  if (token.empty()) return std::nullopt;
  return token;
}

bool IsOrigin(std::string_view text) {
  const size_t scheme = text.starts_with("https://") ? 8 : text.starts_with("http://") ? 7 : 0;
  return scheme > 0 && text.size() > scheme &&
         text.find_first_of("/?#@* \t\r\n,", scheme) == std::string_view::npos;
}

Status CheckAddress(const std::string& flag, const std::string& host, const ServerOptions& options) {
  if (IsLoopbackName(host) || options.keys != nullptr || options.insecure_no_auth) return OkStatus();
  return InvalidArgument(
             fmt::format(
                 "{} {} can be reached from other machines, and this server asks for no key; use "
                 "127.0.0.1, name keys with --api-keys-file or WEIR_API_KEY, or give --insecure-no-auth "
                 "if everybody may use it",
                 flag, host))
      .WithParam(flag);
}

}  // namespace

bool IsLoopbackName(const std::string& host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("::ffff:127.") ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

Status CheckAccessOptions(const ServerOptions& options) {
  WEIR_RETURN_IF_ERROR(CheckAddress("--host", options.host, options));
  if (options.has_control)
    WEIR_RETURN_IF_ERROR(CheckAddress("--control-host", options.control_host, options));
  std::vector<std::string_view> allowed;
  for (const Route& route : Routes()) {
    if (route.may_be_public) allowed.push_back(route.path);
  }
  for (const std::string& path : options.public_routes) {
    if (std::find(allowed.begin(), allowed.end(), path) == allowed.end())
      return InvalidArgument(fmt::format("--public-routes has '{}', which cannot be public; what can: {}",
                                         QuoteForMessage(path), fmt::join(allowed, ", ")))
          .WithParam("--public-routes");
  }
  for (const std::string& origin : options.cors_origins) {
    if (!IsOrigin(origin))
      return InvalidArgument(
                 fmt::format(
                     "--cors-origin is '{}', expected the origin of one site, like https://chat.example.org",
                     QuoteForMessage(origin)))
          .WithParam("--cors-origin");
  }
  return OkStatus();
}

// The control listener is for whoever is on this machine, unless it was opened to others.
bool Access::DemandsKeys() const {
  return context_->options.keys != nullptr &&
         (listener_ == kDataListener || !IsLoopbackName(context_->options.control_host));
}

std::optional<HttpError> Access::Identify(const HttpRequestHead& head, const RouteMatch& match,
                                          Caller* caller) const {
  if (!DemandsKeys()) return std::nullopt;
  if (match.route != nullptr && match.route->may_be_public) {
    const auto& open = context_->options.public_routes;
    if (std::find(open.begin(), open.end(), match.route->path) != open.end()) return std::nullopt;
  }
  const std::optional<std::string_view> token = BearerToken(head);
  const std::shared_ptr<const KeyRing> ring = context_->Keys();
  if (token.has_value()) {
    if (const ApiKey* key = ring->Find(*token, std::chrono::system_clock::now())) {
      caller->key = std::shared_ptr<const ApiKey>(ring, key);
      return std::nullopt;
    }
  }
  // Word for word the same for no key, a wrong one and an expired one.
  return RouterError(401, "invalid_api_key",
                     "a valid API key is needed; send it as Authorization: Bearer KEY");
}

std::optional<HttpError> Access::RefuseOrigin(const HttpRequestHead& head) const {
  // Without keys a web page of another site must not reach the server through its visitor's browser.
  if (!context_->options.insecure_no_auth && !DemandsKeys()) {
    if (const std::string* host = head.Find("Host")) {
      const std::string name = HostName(*host);
      const auto& allowed = context_->options.allowed_hosts;
      if (!IsLoopbackName(name) && std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
        return RouterError(
            403, "host_not_allowed",
            fmt::format("host \"{}\" is not allowed; start the server with --allowed-host to allow it",
                        QuoteForMessage(name)));
      }
    }
  }
  if (const std::string* origin = head.Find("Origin"); origin != nullptr && !AllowsOrigin(*origin)) {
    return RouterError(
        403, "origin_not_allowed",
        "requests from web pages are not allowed; start the server with --cors-origin to allow "
        "those of one site");
  }
  return std::nullopt;
}

bool Access::AllowsOrigin(const std::string& origin) const {
  const auto& allowed = context_->options.cors_origins;
  return listener_ == kDataListener && std::find(allowed.begin(), allowed.end(), origin) != allowed.end();
}

bool IsPreflight(const HttpRequestHead& head) {
  return head.method == "OPTIONS" && head.Find("Access-Control-Request-Method") != nullptr;
}

// The same for every path, so that it tells nothing of which exist.
HttpResponse AnswerPreflight() {
  HttpResponse response;
  response.status = 204;
  response.headers = {
      {"Access-Control-Allow-Methods", "GET, HEAD, POST"},
      {"Access-Control-Allow-Headers",
       "Authorization, Content-Type, X-Request-Id, X-Weir-Ledger, X-Weir-Class, X-Request-Timeout-Ms, "
       "X-Slo-Ttft-Ms, X-Stainless-Arch, X-Stainless-Helper-Method, X-Stainless-Lang, "
       "X-Stainless-OS, X-Stainless-Package-Version, X-Stainless-Retry-Count, X-Stainless-Runtime, "
       "X-Stainless-Runtime-Version, X-Stainless-Timeout"},
      {"Access-Control-Max-Age", "600"}};
  return response;
}

std::vector<HttpHeader> CorsHeaders(const std::string& origin) {
  return {{"Access-Control-Allow-Origin", origin},
          {"Vary", "Origin"},
          {"Access-Control-Expose-Headers",
           "X-Request-Id, Retry-After, retry-after-ms, x-should-retry, Server-Timing, X-Predicted-TTFT-Ms, "
           "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
           "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"}};
}

}  // namespace weir
