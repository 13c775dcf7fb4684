// Which class of service a request gets: what it asks for, held at what its owner may have.
//
// Errors    INVALID_ARGUMENT "invalid_header" for a class that does not exist, "class_not_allowed" (403) for a header above
//           the owner's highest class; a `service_tier` above it is held at it silently, because SDKs send it on their own
// Threads   any
// Source    docs/SCHEDULING.md, "Whose turn it is"
#pragma once

#include <string_view>

#include "base/result.h"
#include "engine/engine.h"
#include "net/http/server.h"

namespace weir {

// From the head: X-Weir-Class, and X-Stainless-Retry-Count, by which SDKs tell that they were refused before.
Result<Applicant> ReadApplicant(const HttpRequestHead& head, const RequestOwner& owner);
// From the body's `service_tier`, empty when it has none: it wins over the header, as it is the API's own.
RequestClass ClassOfTier(std::string_view service_tier, const Applicant& applicant);
// "interactive", "default", "batch" or "sheddable", as in X-Weir-Class.
std::string_view ClassName(RequestClass service_class);
// What the response says was used: "priority", "default" or "flex".
std::string_view TierName(RequestClass service_class);

}  // namespace weir
