// The oracle's answers of tests/golden/logits, as the tests read them. Formats: SOURCE.md beside them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir {

struct GoldenGreedy {
  std::string name;
  std::vector<int32_t> prompt;
  std::vector<int32_t> tokens;  // the oracle's greedy continuation
  std::vector<double> gaps;     // at each step, best logit minus second best
};

struct GoldenPosition {
  std::vector<int32_t> top;  // most likely first
  std::vector<double> top_logprobs;
  std::vector<int32_t> sample;  // drawn from the others in proportion to their probability
  std::vector<double> sample_logprobs;
  double rest = 0;  // mass of the others
};

struct GoldenWindow {
  std::vector<int32_t> tokens;
  int first = 0;                          // what comes before is context only
  std::vector<GoldenPosition> positions;  // one per token from `first` on: what follows it
};

Result<std::vector<GoldenGreedy>> ReadGoldenGreedy();
// "text.bin": prose and code. "transcripts.bin": the model's own answers.
Result<std::vector<GoldenWindow>> ReadGoldenWindows(std::string_view file);

}  // namespace weir
