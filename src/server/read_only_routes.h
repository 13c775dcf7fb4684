// The routes that only tell: models, health, metrics, version, ledgers. No engine lock, no body.
#pragma once

#include <string>

#include "net/http/server.h"
#include "server/caller.h"
#include "server/route_table.h"
#include "server/server_context.h"

namespace weir {

// `rest` is what follows a prefix route, `query` what follows the question mark. A caller with a key sees only the ledgers of
// that key.
HttpResponse AnswerReadOnly(const Route& route, const std::string& rest, const std::string& query,
                            const Caller& caller, ServerContext* context);

}  // namespace weir
