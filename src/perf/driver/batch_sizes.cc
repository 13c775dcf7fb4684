#include "perf/driver/batch_sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace weir {
namespace {

constexpr int kFirstStep = 16;

}  // namespace

Result<BatchSizes> ParseBatchSizes(const std::vector<std::string>& words) {
  BatchSizes out;
  out.listed.clear();
  for (const std::string& word : words) {
    if (word == "max") {
      out.up_to_max = true;
      continue;
    }
    int size = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), size);
    if (error != std::errc() || end != word.data() + word.size() || size < 1) {
      return InvalidArgument(fmt::format(
          "--batch-sizes has '{}', expected numbers from 1 on, or 'max', with commas between them", word));
    }
    out.listed.push_back(size);
  }
  if (out.listed.empty() && !out.up_to_max)
    return InvalidArgument("--batch-sizes is empty, expected at least one number, or 'max'");
  return out;
}

BatchPlan PlanBatches(const BatchSizes& asked, const SequenceRoom& room) {
  BatchPlan plan;
  plan.batch_sizes = asked.listed;
  plan.room = room;
  const int64_t fit = room.sequences_that_fit();
  const int64_t most = std::min<int64_t>(fit, room.max_num_seqs);
  const int largest = asked.listed.empty() ? 0 : *std::max_element(asked.listed.begin(), asked.listed.end());
  int64_t step = kFirstStep;
  if (asked.listed.empty()) {
    while (step > 1 && step > most) step /= 2;
    if (step > most) plan.batch_sizes.push_back(1);  // the engine itself says why not even one fits
  }
  while (step <= largest) step *= 2;
  for (; step <= most; step *= 2) plan.batch_sizes.push_back(static_cast<int>(step));
  if (asked.listed.empty() && plan.batch_sizes.back() == step) step *= 2;
  plan.next = static_cast<int>(step);
  plan.stop = fit < step ? BatchStop::kMemory : BatchStop::kMaxNumSeqs;
  return plan;
}

Json ToJson(const BatchPlan& plan) {
  const SequenceRoom& room = plan.room;
  return {{"stopped_by", plan.stop == BatchStop::kMemory ? "memory" : "max_num_seqs"},
          {"sequences_that_fit", room.sequences_that_fit()},
          {"max_num_seqs", room.max_num_seqs},
          {"tokens_per_sequence", room.tokens_per_context},
          {"bytes_per_sequence", room.bytes_per_sequence},
          {"budget_bytes", room.budget_bytes},
          {"largest", *std::max_element(plan.batch_sizes.begin(), plan.batch_sizes.end())},
          {"next", {{"batch_size", plan.next}, {"bytes", plan.next * room.bytes_per_sequence}}}};
}

}  // namespace weir
