// What is sent: the prompts of a run, drawn before it starts.
//
// Errors    ParseDataset: INVALID_ARGUMENT with the forms there are. LoadDataset: NOT_FOUND; DATA_LOSS naming file and line;
//           what counting tokens fails with
// Threads   as a value
// Source    docs/MEASUREMENT.md, "Datasets"
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "perf/workload/lengths.h"
#include "perf/workload/prompt_maker.h"
#include "perf/workload/prompts.h"

namespace weir {

struct DatasetSpec {
  enum class Kind { kBuiltin, kShareGpt, kJsonl, kRandom, kPrefix, kTrace };
  Kind kind = Kind::kBuiltin;
  std::string text = "builtin";  // as it was asked for
  std::string path;
  LengthSpec in{LengthSpec::Kind::kConstant, 128, 0};  // random
  LengthSpec out{LengthSpec::Kind::kConstant, 0, 0};   // random, prefix; 0: what the run asks for
  int groups = 1, shared = 0, own = 0;                 // prefix: tokens
};

// builtin · sharegpt:FILE · jsonl:FILE · random:in=LENGTH[,out=LENGTH] · prefix:groups=N,shared=N,own=N[,out=LENGTH] ·
// trace:FILE. `flag` is what errors name.
Result<DatasetSpec> ParseDataset(std::string_view text, std::string_view flag = "--dataset");

struct Dataset {
  std::string name;
  std::vector<Prompt> prompts;      // at least one; a longer run starts over
  std::vector<double> arrivals_s;   // of a trace, one per prompt: when each is sent
  double expected_cache_ratio = 0;  // of prompt tokens, with a prefix cache
  std::vector<std::string> notes;   // what was left out, what repeats

  const Prompt& At(int64_t index) const { return prompts[static_cast<size_t>(index) % prompts.size()]; }
};

struct DatasetRequest {
  DatasetSpec spec;
  int count = 50;  // prompts wanted
  int offset = 0;  // built-in list: the first to use
  uint64_t seed = 1;
  CountTokens count_tokens;  // of the server under test
};
Result<Dataset> LoadDataset(const DatasetRequest& request);

}  // namespace weir
