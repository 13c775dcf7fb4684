#include "perf/statistics/step_breakdown.h"

#include <algorithm>
#include <string>

namespace weir {
namespace {

constexpr std::string_view kPlainNames[] = {"schedule", "forward", "sampling", "publish", "other"};
constexpr const char* kKindNames[] = {"prefill", "decode", "mixed"};
// Fewer steps say little about a difference of one percent.
constexpr size_t kEnoughSteps = 20;

int KindOf(const StepSample& step) {
  if (step.prefill_tokens == 0) return 1;
  return step.decode_rows > 0 ? 2 : 0;
}

std::vector<double> PlainSegments(const StepSample& step) {
  const double known = step.schedule_ms + step.forward_ms + step.sample_ms + step.publish_ms;
  return {step.schedule_ms, step.forward_ms, step.sample_ms, step.publish_ms,
          std::max(0.0, step.ms() - known)};
}

Json MeanOrNull(double sum, int64_t count) {
  return count == 0 ? Json(nullptr) : Json(sum / static_cast<double>(count));
}

void AddTo(const std::vector<double>& values, std::vector<double>* sums) {
  sums->resize(std::max(sums->size(), values.size()));
  for (size_t i = 0; i < values.size(); ++i) (*sums)[i] += values[i];
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

void StepBreakdown::Add(const StepSample& step) {
  const int kind = KindOf(step);
  if (!names_.empty() && kind == 1) {
    (step.segments_ms.empty() ? plain_decode_ms_ : profiled_decode_ms_).push_back(step.ms());
  }
  if (!names_.empty() && step.segments_ms.empty()) return;
  Sums& sums = kinds_[kind];
  ++sums.count;
  sums.ms += step.ms();
  sums.prefill_tokens += step.prefill_tokens;
  sums.decode_rows += step.decode_rows;
  sums.sequences += step.num_sequences;
  sums.kv_tokens_read += step.kv_tokens_read;
  AddTo(names_.empty() ? PlainSegments(step) : step.segments_ms, &sums.segments_ms);
}

std::span<const std::string_view> StepBreakdown::SegmentNames() const {
  return names_.empty() ? std::span<const std::string_view>(kPlainNames) : names_;
}

Json StepBreakdown::SegmentsJson(const std::vector<double>& sums, int64_t count) const {
  Json segments;
  const auto names = SegmentNames();
  for (size_t i = 0; i < names.size(); ++i) {
    segments[std::string(names[i])] = MeanOrNull(i < sums.size() ? sums[i] : 0, count);
  }
  return segments;
}

Json StepBreakdown::KindJson(const Sums& sums) const {
  if (sums.count == 0) return nullptr;
  Json json;
  json["count"] = sums.count;
  json["mean_ms"] = MeanOrNull(sums.ms, sums.count);
  json["prefill_tokens_mean"] = MeanOrNull(static_cast<double>(sums.prefill_tokens), sums.count);
  json["decode_rows_mean"] = MeanOrNull(static_cast<double>(sums.decode_rows), sums.count);
  json["context_tokens_mean"] = MeanOrNull(static_cast<double>(sums.kv_tokens_read), sums.sequences);
  json["segments_ms"] = SegmentsJson(sums.segments_ms, sums.count);
  return json;
}

Json StepBreakdown::ToJson() const {
  Sums all;
  for (const Sums& sums : kinds_) {
    all.count += sums.count;
    all.ms += sums.ms;
    AddTo(sums.segments_ms, &all.segments_ms);
  }
  Json json;
  json["count"] = all.count;
  json["mean_ms"] = MeanOrNull(all.ms, all.count);
  for (int kind = 0; kind < kKinds; ++kind) {
    json[std::string(kKindNames[kind]) + "_ms"] = MeanOrNull(kinds_[kind].ms, kinds_[kind].count);
  }
  json["segments_ms"] = SegmentsJson(all.segments_ms, all.count);
  if (names_.empty()) return json;
  for (int kind = 0; kind < kKinds; ++kind) json["kinds"][kKindNames[kind]] = KindJson(kinds_[kind]);
  const std::optional<double> cost = ProfilingCost();
  json["profiling_cost_ratio"] = cost ? Json(*cost) : Json(nullptr);
  return json;
}

std::optional<double> StepBreakdown::ProfilingCost() const {
  if (plain_decode_ms_.size() < kEnoughSteps || profiled_decode_ms_.size() < kEnoughSteps)
    return std::nullopt;
  const double plain = Median(plain_decode_ms_);
  if (plain <= 0) return std::nullopt;
  return Median(profiled_decode_ms_) / plain - 1;
}

}  // namespace weir
