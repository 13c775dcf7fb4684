#include "base/clock.h"

#include <ctime>
#include <string>

namespace weir {

const MonotonicClock& MonotonicClock::Get() {
  static const MonotonicClock clock;
  return clock;
}

std::string WallClockRfc3339() {
  std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace weir
