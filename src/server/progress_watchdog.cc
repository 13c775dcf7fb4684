#include "server/progress_watchdog.h"

#include <algorithm>

namespace weir {
namespace {

constexpr Duration kLeastPatience = std::chrono::seconds(10);
constexpr Duration kFirstStepPatience = std::chrono::seconds(120);
constexpr int kUsualSteps = 10;

}  // namespace

bool ProgressWatchdog::Observe(bool has_work, TimePoint last_step_ended, Duration usual_step, TimePoint now) {
  if (!has_work || last_step_ended != last_step_ || since_ == TimePoint{}) {
    last_step_ = last_step_ended;
    since_ = now;
  }
  const Duration patience = usual_step == Duration::zero()
                                ? kFirstStepPatience
                                : std::max(kLeastPatience, kUsualSteps * usual_step);
  return now - since_ > patience;
}

}  // namespace weir
