// Why an operation failed: a code that the HTTP and exit tables translate, and a sentence for a person.
//
// Errors    none of its own; a Status is a value. Libraries return it and never print or end the process
// Threads   immutable after construction; safe to copy between threads
//
// A message says what, where, expected and found, and the next step.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace weir {

enum class StatusCode {
  kOk,
  kInvalidArgument,    // wrong request or flag
  kUnauthenticated,    // key missing or wrong
  kNotFound,           // model, route or file
  kResourceExhausted,  // load; always travels with a retry hint
  kCancelled,          // client gone, Ctrl-C
  kInternal,           // our bug
  kDataLoss,           // damaged file
  kUnimplemented,      // a model file needs what we lack
  kUnavailable,        // loading, draining, unreachable
  kDeadlineExceeded,   // the request's own deadline passed after its prefill began
};

std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The machine-readable reason inside a code ("queue_full", "context_length_exceeded"); empty if the code
  // says enough.
  const std::string& reason() const { return reason_; }
  // The request field or flag at fault, e.g. "messages[2].content"; empty if none.
  const std::string& param() const { return param_; }
  Status WithReason(std::string reason) &&;
  Status WithParam(std::string param) &&;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
  std::string reason_;
  std::string param_;
};

inline Status OkStatus() { return Status(); }
Status InvalidArgument(std::string message);
Status Unauthenticated(std::string message);
Status NotFound(std::string message);
Status ResourceExhausted(std::string message);
Status Cancelled(std::string message);
Status Internal(std::string message);
Status DataLoss(std::string message);
Status Unimplemented(std::string message);
Status Unavailable(std::string message);
Status DeadlineExceeded(std::string message);

}  // namespace weir

#define WEIR_RETURN_IF_ERROR(expression)         \
  do {                                           \
    ::weir::Status weir_status_ = (expression);  \
    if (!weir_status_.ok()) return weir_status_; \
  } while (false)
