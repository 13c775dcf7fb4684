#include "cli/weight_text.h"

#include <fmt/format.h>

#include "perf/report/number_format.h"

namespace weir {
namespace {

// Below this share something refused huge pages; above it only the ends of the buffer are small.
constexpr double kMostlyHuge = 0.9;

}  // namespace

std::string DescribeWeights(const WeightFacts& facts) {
  if (facts.storage == WeightStorage::kMmap) {
    return fmt::format("{} left in the file, ready after {:.2f} s; every step packs them anew, which is slow",
                       FormatBytes(static_cast<double>(facts.mapped_bytes)), facts.load_s);
  }
  const double huge = facts.packed_bytes > 0
                          ? static_cast<double>(facts.huge_bytes) / static_cast<double>(facts.packed_bytes)
                          : 0;
  return fmt::format("{} packed, ready after {:.2f} s, {} in huge pages{}",
                     FormatBytes(static_cast<double>(facts.packed_bytes)), facts.load_s, FormatPercent(huge),
                     huge >= kMostlyHuge ? ""
                                         : "; small pages can cost a third of the speed of one sequence, see "
                                           "'weir doctor'");
}

}  // namespace weir
