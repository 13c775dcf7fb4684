// The routes that only tell: models, health, metrics, version, ledgers. No engine lock, no body.
#pragma once

#include <string>

#include "net/http/server.h"
#include "server/route_table.h"
#include "server/server_context.h"

namespace weir {

// `rest` is what follows a prefix route, `query` what follows the question mark.
HttpResponse AnswerReadOnly(const Route& route, const std::string& rest, const std::string& query,
                            ServerContext* context);

}  // namespace weir
