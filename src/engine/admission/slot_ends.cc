#include "engine/admission/slot_ends.h"

#include <algorithm>

namespace weir {
namespace {

// How many of the slots are free again at `seconds`, expected.
double NumFreeAt(double seconds, std::span<const RunningOutput> running, int num_beginning,
                 const SlotPace& pace) {
  const double ended_early = std::min(1.0, seconds / pace.request_seconds);
  const auto is_free = [&](double latest, double cut_share) {
    return seconds >= latest ? 1.0 : (1 - cut_share) * ended_early;
  };
  double count = num_beginning * is_free(pace.request_seconds, pace.cut_share);
  for (const RunningOutput& output : running) {
    count += pace.token_seconds > 0
                 ? is_free(output.most_left * pace.token_seconds, output.is_certain ? 1.0 : pace.cut_share)
                 : is_free(pace.request_seconds, 0);
  }
  return count;
}

}  // namespace

double SecondsUntilFree(std::span<const RunningOutput> running, int num_beginning, const SlotPace& pace,
                        int count) {
  const int num_slots = static_cast<int>(running.size()) + num_beginning;
  if (count <= 0 || num_slots <= 0 || pace.request_seconds <= 0) return 0;
  // Whoever takes a free slot holds it as long as requests do in the mean.
  const int num_turns = (count - 1) / num_slots;
  const double wanted = count - num_turns * num_slots;
  double early = 0;
  double late = pace.request_seconds;
  for (const RunningOutput& output : running) late = std::max(late, output.most_left * pace.token_seconds);
  // Far below what a step takes.
  constexpr int kNumHalvings = 40;
  constexpr double kRounding = 1e-9;
  for (int i = 0; i < kNumHalvings; ++i) {
    const double middle = 0.5 * (early + late);
    (NumFreeAt(middle, running, num_beginning, pace) >= wanted - kRounding ? late : early) = middle;
  }
  return num_turns * pace.request_seconds + late;
}

}  // namespace weir
