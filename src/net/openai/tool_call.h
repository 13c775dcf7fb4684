// A function that the model asks its client to call.
#pragma once

#include <string>

namespace weir {

struct WireToolCall {
  int index = 0;  // in its message
  std::string id{};
  std::string name{};
  std::string arguments{};  // JSON, as text
};

}  // namespace weir
