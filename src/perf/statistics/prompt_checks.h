// Were the prompts what was meant: new to the server's cache (V-07), and as long as asked for (V-09)?
//
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Run validity verdict"
#pragma once

#include <optional>
#include <span>
#include <string>

#include "perf/recorder/request_record.h"
#include "perf/statistics/validity.h"

namespace weir {

struct ExpectedCache {
  // Tokens of every prompt that the chat template brings, so that they are cached from the second request on. Empty: not
  // known; then the smallest number seen stands for it.
  std::optional<int> template_tokens;
  double dataset_ratio = 0;  // of prompt tokens, by the dataset's own construction
};

// Share of prompt tokens that were cached beyond what was expected; empty when the server does not say.
std::optional<double> UnexpectedCacheRatio(std::span<const RequestRecord> records,
                                           const ExpectedCache& expected);
// Prompts whose length is not the target plus the template's constant, which is the commonest difference; empty when no
// prompt has a target.
struct LengthDrift {
  int64_t differ = 0, with_target = 0;
  int template_tokens = 0;
};
std::optional<LengthDrift> PromptLengthDrift(std::span<const RequestRecord> records);

void CheckPrompts(std::span<const RequestRecord> records, const ExpectedCache& expected,
                  const std::string& prefix, Validity* validity);

}  // namespace weir
