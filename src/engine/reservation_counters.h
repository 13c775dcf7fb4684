// What admission counts: live reservations, and the load the engine published last.
//
// Threads   any; one short lock, so that a test against the bounds and the counting of its outcome are one
// step
#pragma once

#include "base/mutex.h"
#include "engine/engine.h"

namespace weir {

struct Reservation::Counters {
  mutable Mutex mutex;
  int num_sequences GUARDED_BY(mutex) = 0;
  int64_t tokens GUARDED_BY(mutex) = 0;
  LoadSnapshot published GUARDED_BY(mutex);

  // The published load plus what was promised and does not run yet.
  LoadSnapshot Load() const REQUIRES(mutex) {
    LoadSnapshot load = published;
    load.num_waiting += num_sequences;
    load.queued_tokens += tokens;
    return load;
  }
};

}  // namespace weir
