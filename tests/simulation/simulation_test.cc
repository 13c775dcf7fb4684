// Ten thousand small servers, or thirty times as many in the slow set, each from one seed. WEIR_SIMULATION_SEED=n runs one of them again.

#include "tests/simulation/simulation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace weir {
namespace {

#if defined(WEIR_SLOW)
constexpr uint64_t kManySeeds = 300000;
#else
constexpr uint64_t kManySeeds = 10000;
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kNumSeeds = kManySeeds / 10;  // ten times slower there
#else
constexpr uint64_t kNumSeeds = kManySeeds;
#endif

std::string ReplayCommand(uint64_t seed) {
  std::error_code ignored;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
  return fmt::format("seed {} failed; replay with: WEIR_SIMULATION_SEED={} {}", seed, seed, self);
}

TEST(SimulationTest, EverySeedKeepsEveryInvariantAndEndsEveryRequest) {
  if (const char* chosen = std::getenv("WEIR_SIMULATION_SEED")) {
    const uint64_t seed = std::strtoull(chosen, nullptr, 10);
    EXPECT_EQ(Simulation(seed).Run(), "") << ReplayCommand(seed);
    return;
  }
  Simulation::Counts all;
  for (uint64_t seed = 1; seed <= kNumSeeds; ++seed) {
    Simulation simulation(seed);
    ASSERT_EQ(simulation.Run(), "") << ReplayCommand(seed);
    const Simulation::Counts& counts = simulation.counts();
    all.finished += counts.finished;
    all.refused += counts.refused;
    all.expired += counts.expired;
    all.preempted += counts.preempted;
    all.cached_tokens += counts.cached_tokens;
  }
  // The seeds must reach what they are there to test.
  EXPECT_GT(all.finished, 5 * static_cast<int64_t>(kNumSeeds));
  EXPECT_GT(all.refused, static_cast<int64_t>(kNumSeeds));
  EXPECT_GT(all.expired, static_cast<int64_t>(kNumSeeds) / 20);
  EXPECT_GT(all.preempted, static_cast<int64_t>(kNumSeeds) / 2);
  EXPECT_GT(all.cached_tokens, 100 * static_cast<int64_t>(kNumSeeds));
}

TEST(SimulationTest, SameSeedIsTheSameRun) {
  Simulation first(42);
  Simulation second(42);
  EXPECT_EQ(first.Run(), second.Run());
  EXPECT_EQ(first.counts().steps, second.counts().steps);
  EXPECT_EQ(first.counts().longest_wait, second.counts().longest_wait);
}

}  // namespace
}  // namespace weir
