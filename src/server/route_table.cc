#include "server/route_table.h"

namespace weir {
namespace {

constexpr uint8_t kBoth = kDataListener | kControlListener;

constexpr Route kRoutes[] = {
    {RouteId::kChatCompletions, "POST", "/v1/chat/completions", kDataListener},
    {RouteId::kCompletions, "POST", "/v1/completions", kDataListener},
    {RouteId::kTokenize, "POST", "/tokenize", kDataListener},
    {RouteId::kDetokenize, "POST", "/detokenize", kDataListener},
    {RouteId::kModels, "GET", "/v1/models", kDataListener, true},
    {RouteId::kModel, "GET", "/v1/models/", kDataListener},
    {RouteId::kHealth, "GET", "/health", kBoth, true},
    {RouteId::kReady, "GET", "/ready", kBoth, true},
    {RouteId::kMetrics, "GET", "/metrics", kBoth, true},
    {RouteId::kVersion, "GET", "/version", kBoth, true},
    {RouteId::kIsSleeping, "GET", "/is_sleeping", kBoth, true},
    {RouteId::kOpenApi, "GET", "/openapi.json", kBoth, true},
    {RouteId::kLedger, "GET", "/ledger/", kDataListener},
    {RouteId::kDebugRequests, "GET", "/debug/requests", kControlListener},
    {RouteId::kDebugRequest, "GET", "/debug/requests/", kControlListener},
    {RouteId::kDebugState, "GET", "/debug/state", kControlListener},
};

bool Matches(const Route& route, std::string_view path, std::string* rest) {
  if (!route.path.ends_with('/')) return path == route.path;
  if (!path.starts_with(route.path) || path.size() == route.path.size()) return false;
  *rest = std::string(path.substr(route.path.size()));
  return true;
}

}  // namespace

std::span<const Route> Routes() { return kRoutes; }

RouteMatch FindRoute(std::string_view method, std::string_view path, Listener listener) {
  RouteMatch match;
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : kRoutes) {
    std::string rest;
    if (!(route.listeners & listener) || !Matches(route, path, &rest)) continue;
    if (route.method == wanted) {
      match.route = &route;
      match.rest = std::move(rest);
      return match;
    }
    match.allow = route.method == "GET" ? "GET, HEAD" : std::string(route.method);
  }
  return match;
}

}  // namespace weir
