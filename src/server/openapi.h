// The API as an OpenAPI 3.1 document, made from the tables that route and validate: it cannot say what they do not do.
//
// Threads   any
#pragma once

#include <optional>

#include "base/json.h"
#include "net/openai/parameter_table.h"
#include "server/route_table.h"

namespace weir {

Json OpenApiDocument();
// Whose fields the body of a route holds; none for a route without a body.
std::optional<Endpoint> EndpointOf(RouteId id);

}  // namespace weir
