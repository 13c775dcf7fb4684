// The one table from Status to HTTP: status line, error type, code and retry headers.
//
// Source    docs/ARCHITECTURE.md, "Errors"
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "net/http/server.h"
#include "net/openai/error_body.h"

namespace weir {

struct HttpError {
  int status = 500;
  ApiError body;
  Duration retry_after{};  // zero: no hint
  bool may_retry = true;   // false: x-should-retry: false, because SDKs retry by status alone
  bool close = false;
};

// `retry_after` zero means that the engine has no better idea; what must carry a hint gets one all the same.
HttpError ToHttpError(const Status& status, Duration retry_after = Duration::zero());
HttpResponse ToResponse(const HttpError& error);
// What has no Status: refusals of the router.
HttpError RouterError(int http_status, std::string_view code, std::string message);

}  // namespace weir
