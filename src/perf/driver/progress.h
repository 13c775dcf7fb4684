// How a long run tells its caller how far it is.
#pragma once

#include <functional>
#include <string_view>

namespace weir {

// `fraction` from 0 to 1, and what is being done now ("batch 4, repeat 2 of 5"). Called from one thread at a time.
using ProgressFunction = std::function<void(double fraction, std::string_view what)>;

}  // namespace weir
