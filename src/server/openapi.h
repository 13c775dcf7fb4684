// The OpenAPI 3.1 description of the server, made from the tables that route and validate.
//
// Threads   any
#pragma once

#include "base/json.h"
#include "net/openai/parameter_table.h"

namespace weir {

Json OpenApiDocument();
// The endpoint whose fields a path takes; none for a path without a body.
std::optional<Endpoint> EndpointOf(std::string_view path);

}  // namespace weir
