// The one monotonic clock. Every timestamp of client, server and engine on a host comes from it.
//
// Units     nanoseconds of CLOCK_MONOTONIC
// Threads   Now() from any thread
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace weir {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
};

class MonotonicClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
  static const MonotonicClock& Get();
};

inline double ToMilliseconds(Duration duration) { return static_cast<double>(duration.count()) * 1e-6; }
inline double ToSeconds(Duration duration) { return static_cast<double>(duration.count()) * 1e-9; }
inline Duration FromSeconds(double seconds) { return Duration(static_cast<int64_t>(seconds * 1e9)); }

// RFC 3339 in UTC, for `created_at` only; never used to measure.
std::string WallClockRfc3339();

}  // namespace weir
