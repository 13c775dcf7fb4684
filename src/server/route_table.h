// Every path the server answers, and on which listener: what is not listed does not exist.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace weir {

enum Listener : uint8_t { kDataListener = 1, kControlListener = 2 };

enum class RouteId {
  kChatCompletions,
  kCompletions,
  kTokenize,
  kDetokenize,
  kModels,
  kModel,
  kHealth,
  kReady,
  kMetrics,
  kVersion,
  kIsSleeping,
  kOpenApi,
  kLedger,
  kDebugRequests,
  kDebugRequest,
  kDebugState,
};

struct Route {
  RouteId id;
  std::string_view method;  // GET routes answer HEAD as well
  std::string_view path;    // ends with '/': a prefix, and the rest is one path segment
  uint8_t listeners;
  bool may_be_public = false;  // --public-routes may open it: it tells nothing of any client
};

std::span<const Route> Routes();

struct RouteMatch {
  const Route* route = nullptr;  // null: no such path, or not for this method
  std::string rest;              // behind a prefix
  std::string allow;             // methods of the path, when only the method is wrong
};

RouteMatch FindRoute(std::string_view method, std::string_view path, Listener listener);

}  // namespace weir
