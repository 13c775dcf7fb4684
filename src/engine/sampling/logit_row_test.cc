#include "engine/sampling/logit_row.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/rng.h"

namespace weir {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> RandomRow(Rng& rng, int size, int num_distinct) {
  std::vector<float> row;
  for (int i = 0; i < size; ++i) {
    row.push_back(static_cast<float>(rng.NextBelow(static_cast<uint64_t>(num_distinct))) - 20.0f);
  }
  return row;
}

TEST(FindMaximumTest, FirstOfEqualsWinsAtEveryPlaceAndLength) {
  for (int size = 1; size <= 50; ++size) {
    for (int first = 0; first < size; ++first) {
      for (int second = first; second < size; ++second) {
        std::vector<float> row(static_cast<size_t>(size), -3.0f);
        row[static_cast<size_t>(first)] = row[static_cast<size_t>(second)] = -1.0f;
        const RowMaximum maximum = FindMaximum(row);
        ASSERT_TRUE(maximum.sound);
        ASSERT_EQ(maximum.best.token, first);
        ASSERT_EQ(maximum.best.logit, -1.0f);
      }
    }
  }
}

TEST(FindMaximumTest, OneBadValueAnywhereMakesTheRowUnsound) {
  for (const float bad : {kNan, -kNan, kInfinity}) {
    for (size_t size : {1, 15, 16, 17, 40}) {
      for (size_t at = 0; at < size; ++at) {
        std::vector<float> row(size, 1.0f);
        row[at] = bad;
        EXPECT_FALSE(FindMaximum(row).sound) << "size " << size << " at " << at;
      }
    }
  }
}

TEST(FindMaximumTest, MaskedTokensAreSoundAsLongAsOneIsLeft) {
  std::vector<float> row(20, -kInfinity);
  EXPECT_FALSE(FindMaximum(row).sound);
  row[18] = -1e30f;
  EXPECT_TRUE(FindMaximum(row).sound);
  EXPECT_EQ(FindMaximum(row).best.token, 18);
  EXPECT_FALSE(FindMaximum({}).sound);
}

TEST(SelectBestTest, AgreesWithASortForManyTiesAndEveryK) {
  Rng rng(7);
  for (int round = 0; round < 60; ++round) {
    const int size = 1 + static_cast<int>(rng.NextBelow(700));
    const std::vector<float> row = RandomRow(rng, size, round % 2 == 0 ? 5 : 100000);
    std::vector<Rank> sorted;
    for (int i = 0; i < size; ++i) sorted.push_back({row[static_cast<size_t>(i)], i});
    std::sort(sorted.begin(), sorted.end(), Precedes);
    for (const int k : {1, 2, 40, size / 2, size - 1, size}) {
      if (k < 1 || k > size) continue;
      std::vector<Rank> best;
      SelectBest(row, k, &best);
      std::sort(best.begin(), best.end(), Precedes);
      ASSERT_EQ(best.size(), static_cast<size_t>(k));
      for (size_t i = 0; i < best.size(); ++i) {
        ASSERT_EQ(best[i].token, sorted[i].token) << "size " << size << " k " << k << " place " << i;
      }
    }
  }
}

TEST(SelectBestTest, AscendingRowIsItsHardestOrderAndStillRight) {
  std::vector<float> row;
  for (int i = 0; i < 5000; ++i) row.push_back(static_cast<float>(i));
  std::vector<Rank> best;
  SelectBest(row, 20, &best);
  for (const Rank& rank : best) EXPECT_GE(rank.token, 4980);
  EXPECT_EQ(best.size(), 20u);
}

}  // namespace
}  // namespace weir
