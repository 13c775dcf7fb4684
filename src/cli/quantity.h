// Values of flags that are a number with a unit behind it.
//
// Errors    INVALID_ARGUMENT naming the flag
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace weir {

// "10s", "50ms", "2m", or plain seconds; at most a day.
Result<Duration> ParseDuration(const std::string& flag, const std::string& text);
// "8GiB", "500MiB", or plain bytes.
Result<int64_t> ParseSize(const std::string& flag, const std::string& text);

}  // namespace weir
