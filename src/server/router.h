// Decides from a request's head what becomes of it: one router per listener, one route table for both.
//
// Errors    in the API's form: those of server/access.h, then 404 unknown_url, 405 with Allow, 415, and 429 key_limit
// Threads   io threads of its listener
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "net/http/server.h"
#include "server/access.h"
#include "server/route_table.h"
#include "server/server_context.h"
#include "server/status_http.h"

namespace weir {

class Router final : public HttpHandler {
 public:
  Router(ServerContext* context, Listener listener)
      : context_(context), listener_(listener), access_(context, listener) {}

  std::shared_ptr<HttpExchange> OnHead(const HttpRequestHead& head, std::shared_ptr<ResponseWriter> writer,
                                       IoContext& io) override;
  std::string GateErrorBody(int status, std::string_view code, std::string_view message) override;

 private:
  std::optional<HttpError> Refuse(const HttpRequestHead& head, const RouteMatch& match) const;
  std::optional<HttpError> Limit(const HttpRequestHead& head, Caller* caller) const;
  // Of what never became a request with a ledger of its own.
  void LogRefusal(const HttpRequestHead& head, const Caller& caller, const std::string& request_id,
                  const HttpError& error) const;

  ServerContext* context_;
  Listener listener_;
  Access access_;
};

}  // namespace weir
