// When slots become free, from what those who hold them may still write.
//
// Units     seconds from now; tokens
// Errors    none
// Threads   pure functions
//
// An output that nothing ends early ends at its max_tokens, so a wave of clients that began together also ends together, and not one
// after another. Of the others it is known how many of late were cut off at their max_tokens; the rest end somewhere in the time that
// a request holds its slot in the mean.
#pragma once

#include <span>

namespace weir {

struct RunningOutput {
  int most_left = 0;        // tokens until its max_tokens
  bool is_certain = false;  // nothing but max_tokens ends it
};

struct SlotPace {
  double request_seconds = 0;  // of a request in its slot while all are taken
  double token_seconds = 0;    // of an output token then; 0: not known, then the outputs' lengths say nothing
  double cut_share = 0;        // of outputs of late: how many ended at their max_tokens
};

// Until `count` slots have become free: of `running`, of `num_beginning` that take theirs now, and of those that follow them.
double SecondsUntilFree(std::span<const RunningOutput> running, int num_beginning, const SlotPace& pace,
                        int count);

}  // namespace weir
