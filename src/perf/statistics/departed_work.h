// What an engine computed for clients that had left.
//
// Units     tokens, of prompts and outputs
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Rules" (OBS-15)
#pragma once

#include <span>

#include "perf/recorder/request_record.h"

namespace weir {

struct DepartedWork {
  double tokens = 0;      // computed after the client of their request had gone
  double all_tokens = 0;  // computed for anyone
  int num_unknown =
      0;  // requests that their clients left and the server gave no account of: theirs are not counted

  double ratio() const { return all_tokens > 0 ? tokens / all_tokens : 0; }
};

// A request's prompt is taken as computed evenly from its first step to its first token, its output from there to the last.
DepartedWork WorkForDeparted(std::span<const RequestRecord> records);

}  // namespace weir
