// The API as an OpenAPI 3.1 document, made from the tables that route and validate: it cannot say what they do not do.
//
// Threads   any
#pragma once

#include "base/json.h"

namespace weir {

Json OpenApiDocument();

}  // namespace weir
