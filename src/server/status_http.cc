#include "server/status_http.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weir {
namespace {

constexpr Duration kLeastRetryAfter = std::chrono::milliseconds(100);
constexpr Duration kMostRetryAfter = std::chrono::seconds(60);
constexpr Duration kUsualRetryAfter = std::chrono::seconds(1);

struct Row {
  StatusCode code;
  int http_status;
  const char* type;
  const char* api_code;  // when the Status names no reason
  bool has_retry_after;
};

constexpr Row kRows[] = {
    {StatusCode::kInvalidArgument, 400, "invalid_request_error", "invalid_value", false},
    {StatusCode::kUnauthenticated, 401, "invalid_request_error", "invalid_api_key", false},
    {StatusCode::kNotFound, 404, "invalid_request_error", "model_not_found", false},
    {StatusCode::kResourceExhausted, 429, "rate_limit_error", "overloaded", true},
    {StatusCode::kCancelled, 499, "server_error", "cancelled", false},
    {StatusCode::kUnavailable, 503, "server_error", "draining", true},
    {StatusCode::kDeadlineExceeded, 504, "server_error", "deadline_exceeded", false},
    {StatusCode::kInternal, 500, "server_error", "internal_error", false},
};

const Row& FindRow(StatusCode code) {
  const auto row =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return r.code == code; });
  return row != std::end(kRows) ? *row : kRows[std::size(kRows) - 1];
}

}  // namespace

HttpError ToHttpError(const Status& status, Duration retry_after) {
  const Row& row = FindRow(status.code());
  HttpError error;
  error.status = row.http_status;
  error.body = {status.message(), row.type, status.param(),
                status.reason().empty() ? row.api_code : status.reason()};
  // Understood, and refused to this key: no other status says so.
  if (error.body.code == "class_not_allowed") error.status = 403;
  if (row.has_retry_after) {
    if (retry_after == Duration::zero()) retry_after = kUsualRetryAfter;
    error.retry_after = std::clamp(retry_after, kLeastRetryAfter, kMostRetryAfter);
  }
  error.may_retry = row.http_status != 504 && error.body.code != "deadline_expired";
  error.close = error.body.code == "draining";
  return error;
}

HttpError RouterError(int http_status, std::string_view code, std::string message) {
  HttpError error;
  error.status = http_status;
  error.body = {std::move(message), "invalid_request_error", "", std::string(code)};
  return error;
}

HttpResponse ToResponse(const HttpError& error) {
  HttpResponse response;
  response.status = error.status;
  response.body = ErrorBody(error.body);
  response.close = error.close;
  if (error.retry_after > Duration::zero()) {
    const int64_t ms = std::chrono::ceil<std::chrono::milliseconds>(error.retry_after).count();
    response.headers.push_back({"Retry-After", fmt::format("{}", (ms + 999) / 1000)});
    response.headers.push_back({"retry-after-ms", fmt::format("{}", ms)});
  }
  if (!error.may_retry) response.headers.push_back({"x-should-retry", "false"});
  return response;
}

}  // namespace weir
