// Who may ask for what: keys, public routes, host names and web origins, decided from a request's head.
//
// Errors    in the API's form: 401 invalid_api_key, 403 host_not_allowed and origin_not_allowed
// Threads   any
//
// Everything is denied that is not allowed: with keys, a path that is not in the route table gets the same 401 as one that
// is, so that nobody without a key learns which paths exist.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/http/server.h"
#include "server/caller.h"
#include "server/route_table.h"
#include "server/server_context.h"
#include "server/status_http.h"

namespace weir {

bool IsLoopbackName(const std::string& host);

// Options that would open more than the operator can have meant: INVALID_ARGUMENT naming the flag.
Status CheckAccessOptions(const ServerOptions& options);

class Access {
 public:
  Access(const ServerContext* context, Listener listener) : context_(context), listener_(listener) {}

  // Who asks, or why nobody of that name may.
  std::optional<HttpError> Identify(const HttpRequestHead& head, const RouteMatch& match,
                                    Caller* caller) const;
  // Where the request comes from: a name of this server, a page of an allowed site or no page.
  std::optional<HttpError> RefuseOrigin(const HttpRequestHead& head) const;
  bool AllowsOrigin(const std::string& origin) const;

 private:
  bool DemandsKeys() const;

  const ServerContext* context_;
  Listener listener_;
};

// A browser that asks, before the request itself, whether it may send it.
bool IsPreflight(const HttpRequestHead& head);
HttpResponse AnswerPreflight();
// For every answer to a page of that origin.
std::vector<HttpHeader> CorsHeaders(const std::string& origin);

}  // namespace weir
