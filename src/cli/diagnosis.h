// Judges the machine: one finding per item, each with what to do about it.
//
// Threads   pure functions
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/machine_facts.h"

namespace weir {

enum class FindingLevel { kOk, kHint, kProblem };

struct Finding {
  FindingLevel level;
  std::string subject;  // "huge pages"
  std::string text;     // what was found
  std::string advice;   // empty when there is nothing to do
};

std::vector<Finding> Diagnose(const MachineFacts& facts);

// A size of model, by its number of parameters, against this machine.
struct ModelFit {
  double billions = 0;
  int64_t q4_bytes = 0;
  int64_t q8_bytes = 0;
  bool q4_fits = false;
  bool q8_fits = false;
  double q4_tokens_per_s = 0;  // at most, one sequence: bandwidth / bytes; 0 without a measured bandwidth
  double q8_tokens_per_s = 0;
};

std::vector<ModelFit> FitModels(const MachineFacts& facts);

}  // namespace weir
