// The one error form of the API: {"error":{"message","type","param","code"}}.
#pragma once

#include <string>
#include <string_view>

namespace weir {

struct ApiError {
  std::string message;
  std::string type;   // "invalid_request_error", "rate_limit_error", "server_error"
  std::string param;  // empty: null
  std::string code;   // empty: null
};

std::string ErrorBody(const ApiError& error);

}  // namespace weir
