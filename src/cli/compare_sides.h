// Where the two sides of a comparison come from: result files, known runs, or commands that are run now.
//
// Errors    NOT_FOUND for what is neither a file nor a run; DATA_LOSS for a file that is no result; UNAVAILABLE when a
//           command leaves no result; CANCELLED when interrupted
// Threads   blocks the caller
#pragma once

#include <atomic>
#include <string>

#include "base/result.h"
#include "perf/driver/progress.h"
#include "perf/report/comparison.h"

namespace weir {

// A command has words separated by blanks and is no file.
bool IsCommand(const std::string& text);
// Result files and run ids, separated by commas.
Result<ComparisonSide> ReadSide(const std::string& text);

struct CommandPair {
  std::string a, b;
  int runs = 10;       // of each
  std::string folder;  // for the result files and logs of the runs
  const std::atomic<bool>* stop = nullptr;
};
// Runs both `runs` times as A B B A A B B A ..., so that drift hits both alike. Each gets an --output of its own.
Status RunInterleaved(const CommandPair& pair, const ProgressFunction& progress, ComparisonSide* a,
                      ComparisonSide* b);
// True for the run'th pair (from 0) when B goes first.
bool BeginsWithB(int run);

}  // namespace weir
