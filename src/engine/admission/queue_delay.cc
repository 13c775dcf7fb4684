#include "engine/admission/queue_delay.h"

#include <algorithm>

namespace weir {

void QueueDelay::Observe(Duration oldest, TimePoint now) {
  if (interval_end_ == TimePoint{}) interval_end_ = now + interval_;
  smallest_ = std::min(smallest_, oldest);
  if (now < interval_end_) return;
  overloaded_ = smallest_ > target_;
  smallest_ = Duration::max();
  interval_end_ = now + interval_;
}

}  // namespace weir
