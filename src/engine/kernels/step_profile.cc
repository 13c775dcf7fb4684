#include "engine/kernels/step_profile.h"

namespace weir {

std::string_view StepSegmentName(StepSegment segment) {
  switch (segment) {
    case StepSegment::kSchedule:
      return "schedule";
    case StepSegment::kEmbed:
      return "embed";
    case StepSegment::kNormQuantize:
      return "norm_quantize";
    case StepSegment::kMatmulQkv:
      return "matmul_qkv";
    case StepSegment::kMatmulOut:
      return "matmul_out";
    case StepSegment::kMatmulFfn:
      return "matmul_ffn";
    case StepSegment::kLmHead:
      return "lm_head";
    case StepSegment::kRopeKvWrite:
      return "rope_kv_write";
    case StepSegment::kAttention:
      return "attention";
    case StepSegment::kSampling:
      return "sampling";
    case StepSegment::kBarrierWait:
      return "barrier_wait";
    case StepSegment::kOther:
      return "other";
  }
  return "";
}

StepSegments StepProfile::End(Duration step) {
  Enter(StepSegment::kOther);
  uint64_t sum = 0;
  for (const uint64_t ticks : ticks_) sum += ticks;
  StepSegments segments{};
  if (sum == 0) {
    segments[static_cast<size_t>(StepSegment::kOther)] = step;
    return segments;
  }
  const double per_tick = static_cast<double>(step.count()) / static_cast<double>(sum);
  for (size_t i = 0; i < segments.size(); ++i)
    segments[i] = Duration(static_cast<Duration::rep>(static_cast<double>(ticks_[i]) * per_tick + 0.5));
  return segments;
}

}  // namespace weir
