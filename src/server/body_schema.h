// What the body of a request may hold, as a JSON schema made from the table that the validator uses.
//
// Threads   any
#pragma once

#include "base/json.h"
#include "net/openai/parameter_table.h"

namespace weir {

// Fields that are always refused are only named, in the schema's description.
Json BodySchema(Endpoint endpoint);

}  // namespace weir
