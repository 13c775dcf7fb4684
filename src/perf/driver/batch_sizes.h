// Which batch sizes a benchmark runs, and how far memory lets them grow.
//
// Units     sequences, bytes
// Errors    INVALID_ARGUMENT with the forms there are
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "What batch size means"
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/memory_plan.h"

namespace weir {

struct BatchSizes {
  std::vector<int> listed = {1, 2, 4, 8};
  bool up_to_max = false;  // and powers of two from 16 on, up to the limit
};

// "1", "2", "max" -> {{1, 2}, true}
Result<BatchSizes> ParseBatchSizes(const std::vector<std::string>& words);

enum class BatchStop { kMemory, kMaxNumSeqs };

struct BatchPlan {
  std::vector<int> batch_sizes;
  BatchStop stop = BatchStop::kMemory;
  int next = 0;  // the step that was not taken
  SequenceRoom room;
};

// Sizes that were listed stay, whether they fit or not: a smaller cache preempts, which is a result. `max` goes on from
// the largest of them; alone, it gives at least the largest power of two below 16 that fits, or 1.
BatchPlan PlanBatches(const BatchSizes& asked, const SequenceRoom& room);

// "batch_limit" of a result file.
Json ToJson(const BatchPlan& plan);

}  // namespace weir
