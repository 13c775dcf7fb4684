#include "perf/statistics/prompt_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

namespace weir {

std::optional<double> UnexpectedCacheRatio(std::span<const RequestRecord> records,
                                           const ExpectedCache& expected) {
  int64_t prompt_tokens = 0;
  int smallest = std::numeric_limits<int>::max();
  for (const RequestRecord& record : records) {
    if (record.outcome != Outcome::kOk || !record.cached_tokens) continue;
    prompt_tokens += record.prompt_tokens;
    smallest = std::min(smallest, *record.cached_tokens);
  }
  if (prompt_tokens <= 0) return std::nullopt;
  const int by_template = expected.template_tokens.value_or(smallest);
  int64_t beyond = 0;
  for (const RequestRecord& record : records) {
    if (record.outcome != Outcome::kOk || !record.cached_tokens) continue;
    beyond += std::max(0, *record.cached_tokens - by_template);
  }
  return std::max(0.0,
                  static_cast<double>(beyond) / static_cast<double>(prompt_tokens) - expected.dataset_ratio);
}

std::optional<LengthDrift> PromptLengthDrift(std::span<const RequestRecord> records) {
  std::map<int, int64_t> differences;
  LengthDrift out;
  for (const RequestRecord& record : records) {
    if (record.outcome != Outcome::kOk || !record.prompt_tokens_target) continue;
    ++out.with_target;
    ++differences[record.prompt_tokens - *record.prompt_tokens_target];
  }
  if (out.with_target == 0) return std::nullopt;
  int64_t commonest = 0;
  for (const auto& [difference, count] : differences) {
    if (difference < 0 || count <= commonest) continue;  // a template only adds
    commonest = count;
    out.template_tokens = difference;
  }
  out.differ = out.with_target - commonest;
  return out;
}

void CheckPrompts(std::span<const RequestRecord> records, const ExpectedCache& expected,
                  const std::string& prefix, Validity* validity) {
  if (const auto ratio = UnexpectedCacheRatio(records, expected)) {
    validity->AddAbove(
        "V-07", "run", *ratio, 0.01, 0.10,
        prefix + fmt::format("warm-cache: {:.1f} % of the prompt tokens were cached beyond what was "
                             "expected, limit 10 %",
                             *ratio * 100));
  }
  if (const auto drift = PromptLengthDrift(records)) {
    validity->AddAbove(
        "V-09", "run", static_cast<double>(drift->differ) / static_cast<double>(drift->with_target), 0, 0.02,
        prefix + fmt::format("prompt-length: {} of {} prompts differ from their target plus {} tokens of the "
                             "template, limit 2 %",
                             drift->differ, drift->with_target, drift->template_tokens));
  }
}

}  // namespace weir
