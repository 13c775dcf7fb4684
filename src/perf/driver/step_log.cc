#include "perf/driver/step_log.h"

#include <array>

namespace weir {
namespace {

constexpr size_t kPlainEvery = 4;

std::array<std::string_view, kNumStepSegments> AllNames() {
  std::array<std::string_view, kNumStepSegments> names;
  for (int i = 0; i < kNumStepSegments; ++i)
    names[static_cast<size_t>(i)] = StepSegmentName(static_cast<StepSegment>(i));
  return names;
}

StepSample ToSample(const StepRecord& step, TimePoint start) {
  StepSample sample;
  sample.started_ms = ToMilliseconds(step.started - start);
  sample.ended_ms = ToMilliseconds(step.ended - start);
  sample.prefill_tokens = step.num_prefill_tokens;
  sample.decode_rows = step.num_tokens - step.num_prefill_tokens;
  sample.num_sequences = step.num_sequences;
  sample.num_running = step.num_running;
  sample.kv_tokens_read = step.kv_tokens_read;
  sample.schedule_ms = ToMilliseconds(step.schedule);
  sample.forward_ms = ToMilliseconds(step.forward);
  sample.sample_ms = ToMilliseconds(step.sample);
  sample.publish_ms = ToMilliseconds(step.publish);
  if (step.is_profiled) {
    for (const Duration segment : step.segments) sample.segments_ms.push_back(ToMilliseconds(segment));
  }
  return sample;
}

}  // namespace

StepLog::StepLog(Engine* engine, bool profile) : engine_(*engine), profile_(profile) {
  engine_.set_step_observer([this](const StepRecord& step) {
    steps_.push_back(step);
    Arm();
  });
  Arm();
}

StepLog::~StepLog() {
  engine_.set_step_observer({});
  engine_.set_profiling(false);
}

void StepLog::Arm() {
  const bool on = profile_ && steps_.size() % kPlainEvery != kPlainEvery - 1;
  if (on != engine_.profiling()) engine_.set_profiling(on);
}

void StepLog::Clear() {
  steps_.clear();
  Arm();
}

std::vector<StepSample> StepLog::Samples(TimePoint start) const {
  std::vector<StepSample> samples;
  samples.reserve(steps_.size());
  for (const StepRecord& step : steps_) samples.push_back(ToSample(step, start));
  return samples;
}

std::span<const std::string_view> StepLog::segment_names() const {
  static const std::array<std::string_view, kNumStepSegments> names = AllNames();
  if (!profile_) return {};
  return names;
}

}  // namespace weir
