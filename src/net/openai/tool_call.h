// A function that the model asks its client to call; in a stream also more of its arguments, then without id and name.
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
