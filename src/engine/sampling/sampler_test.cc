#include "engine/sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace weir {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

SamplingParams Seeded(uint64_t seed) {
  SamplingParams params;
  params.seed = seed;
  return params;
}

SamplingParams Greedy() {
  SamplingParams params = Seeded(1);
  params.temperature = 0;
  return params;
}

int32_t SampleOnce(const SamplingParams& params, std::vector<float> row, int index = 0,
                   std::vector<int32_t> forbidden = {}, std::vector<int32_t> prompt = {},
                   std::vector<int32_t> output = {}) {
  SamplerState sampler(params, prompt);
  for (const int32_t token : output) sampler.Accept(token);
  return sampler.Sample(row, FindMaximum(row), index, forbidden).token;
}

// How often each token comes out over output indices 0 .. num_draws - 1.
std::vector<int> Histogram(const SamplingParams& params, const std::vector<float>& row, int num_draws) {
  SamplerState sampler(params, {});
  std::vector<int> histogram(row.size(), 0);
  for (int i = 0; i < num_draws; ++i) {
    std::vector<float> copy = row;
    ++histogram[static_cast<size_t>(sampler.Sample(copy, FindMaximum(copy), i, {}).token)];
  }
  return histogram;
}

double ChiSquare(const std::vector<int>& histogram, const std::vector<double>& probabilities) {
  double draws = 0;
  for (const int count : histogram) draws += count;
  double sum = 0;
  for (size_t i = 0; i < histogram.size(); ++i) {
    const double expected = probabilities[i] * draws;
    if (expected == 0) {
      EXPECT_EQ(histogram[i], 0) << "token " << i << " is impossible";
      continue;
    }
    sum += (histogram[i] - expected) * (histogram[i] - expected) / expected;
  }
  return sum;
}

std::vector<double> Softmax(const std::vector<float>& row, double temperature) {
  std::vector<double> result;
  double sum = 0;
  for (const float logit : row) sum += std::exp(logit / temperature);
  for (const float logit : row) result.push_back(std::exp(logit / temperature) / sum);
  return result;
}

std::set<int32_t> Support(const SamplingParams& params, const std::vector<float>& row, int num_draws = 4000) {
  std::set<int32_t> support;
  const std::vector<int> histogram = Histogram(params, row, num_draws);
  for (size_t i = 0; i < histogram.size(); ++i) {
    if (histogram[i] > 0) support.insert(static_cast<int32_t>(i));
  }
  return support;
}

std::vector<float> LogsOf(const std::vector<double>& probabilities) {
  std::vector<float> row;
  for (const double p : probabilities) row.push_back(static_cast<float>(std::log(p)));
  return row;
}

TEST(SamplerTest, GreedyTakesTheHighestAndTiesGoToTheLowerId) {
  EXPECT_EQ(SampleOnce(Greedy(), {1, 5, 2, 5, 5}), 1);
  EXPECT_EQ(SampleOnce(Greedy(), {-7, -7, -7}), 0);
}

TEST(SamplerTest, UnsoundRowYieldsNoTokenAndNoLogprobs) {
  for (const float temperature : {0.0f, 1.0f}) {
    SamplingParams params = Seeded(3);
    params.temperature = temperature;
    params.num_logprobs = 2;
    for (const float bad : {kNan, kInfinity}) {
      SamplerState sampler(params, {});
      std::vector<float> row = {1, 2, bad, 3};
      const SampledToken sampled = sampler.Sample(row, FindMaximum(row), 0, {});
      EXPECT_EQ(sampled.token, -1);
      EXPECT_EQ(sampled.logprobs, nullptr);
    }
    EXPECT_EQ(SampleOnce(params, {-kInfinity, -kInfinity}), -1);
    EXPECT_EQ(SampleOnce(params, {1, 2}, 0, {0, 1}), -1) << "everything forbidden";
  }
}

TEST(SamplerTest, ForbiddenIdsNeverComeOutWhateverTheirBias) {
  SamplingParams params = Greedy();
  params.logit_bias = {{1, 100.0f}};
  EXPECT_EQ(SampleOnce(params, {1, 5, 2, 3}, 0, {1}), 3);
  params.temperature = 2.0f;
  for (int i = 0; i < 500; ++i) EXPECT_NE(SampleOnce(params, {1, 5, 2, 3}, i, {1}), 1);
}

TEST(SamplerTest, TemperatureDrawsFollowTheSoftmax) {
  const std::vector<float> row = {0.0f, 1.0f, 2.0f, -1.0f, 0.5f, -kInfinity, 1.5f, -3.0f};
  for (const float temperature : {0.5f, 1.0f, 2.0f}) {
    SamplingParams params = Seeded(42);
    params.temperature = temperature;
    // 6 degrees of freedom: 22.5 is the 0.1 % point. The seed is fixed, so this passes always or never.
    EXPECT_LT(ChiSquare(Histogram(params, row, 20000), Softmax(row, temperature)), 22.5) << temperature;
  }
}

TEST(SamplerTest, DrawsOverSeedsAtOneIndexFollowTheSoftmaxToo) {
  const std::vector<float> row = {0.0f, 1.0f, 2.0f, -1.0f, 0.5f};
  for (const int index : {0, 1, 17}) {
    std::vector<int> histogram(row.size(), 0);
    for (uint64_t seed = 0; seed < 20000; ++seed) {
      ++histogram[static_cast<size_t>(SampleOnce(Seeded(seed), row, index))];
    }
    EXPECT_LT(ChiSquare(histogram, Softmax(row, 1.0)), 18.5) << "4 degrees of freedom, index " << index;
  }
}

TEST(SamplerTest, NeighbouringIndicesAreIndependent) {
  const std::vector<float> row = {0, 0, 0, 0};
  std::vector<int> pairs(16, 0);
  SamplerState sampler(Seeded(5), {});
  int previous = 0;
  for (int i = 0; i < 32001; ++i) {
    std::vector<float> copy = row;
    const int token = sampler.Sample(copy, FindMaximum(copy), i, {}).token;
    if (i > 0) ++pairs[static_cast<size_t>(4 * previous + token)];
    previous = token;
  }
  EXPECT_LT(ChiSquare(pairs, std::vector<double>(16, 1.0 / 16)), 37.7)
      << "15 degrees of freedom, 0.1 % point";
}

TEST(SamplerTest, TokenDependsOnSeedAndIndexOnlyNotOnWhatCameBefore) {
  Rng rng(11);
  std::vector<float> row(300);
  for (float& logit : row) logit = static_cast<float>(rng.NextNormal());
  SamplingParams params = Seeded(99);
  params.top_p = 0.95f;
  SamplerState first(params, {});
  std::vector<int32_t> tokens;
  for (int i = 0; i < 50; ++i) {
    std::vector<float> copy = row;
    tokens.push_back(first.Sample(copy, FindMaximum(copy), i, {}).token);
  }
  EXPECT_GT(std::set<int32_t>(tokens.begin(), tokens.end()).size(), 10u);
  // A fresh state that starts in the middle, as after a restart, and in reverse order.
  SamplerState second(params, {});
  for (int i = 49; i >= 0; --i) {
    std::vector<float> copy = row;
    EXPECT_EQ(second.Sample(copy, FindMaximum(copy), i, {}).token, tokens[static_cast<size_t>(i)]);
  }
  int num_equal = 0;
  for (int i = 0; i < 50; ++i) num_equal += SampleOnce(Seeded(100), row, i) == tokens[static_cast<size_t>(i)];
  EXPECT_LT(num_equal, 15) << "another seed is another stream";
}

TEST(SamplerTest, WithoutASeedEachSequenceDrawsItsOwn) {
  const SamplingParams params;
  EXPECT_NE(SamplerState(params, {}).seed(), SamplerState(params, {}).seed());
  EXPECT_EQ(SamplerState(Seeded(77), {}).seed(), 77u);
}

TEST(SamplerTest, TopKKeepsTheKBestWithTheirRelativeOdds) {
  const std::vector<float> row = LogsOf({0.1, 0.3, 0.05, 0.2, 0.15, 0.2});
  SamplingParams params = Seeded(8);
  params.top_k = 3;
  EXPECT_LT(ChiSquare(Histogram(params, row, 20000), {0, 0.3 / 0.7, 0, 0.2 / 0.7, 0, 0.2 / 0.7}), 13.8);
  params.top_k = 1;
  EXPECT_EQ(Support(params, row), std::set<int32_t>({1}));
  params.top_k = 2;
  EXPECT_EQ(Support(params, row), std::set<int32_t>({1, 3})) << "a tie at the cut goes to the lower id";
  for (const int off : {0, -1, 6}) {
    params.top_k = off;
    EXPECT_EQ(Support(params, row).size(), 6u);
  }
}

TEST(SamplerTest, TopPKeepsTheFewestWhoseMassReachesIt) {
  const std::vector<float> row = LogsOf({0.1, 0.4, 0.05, 0.25, 0.2});
  SamplingParams params = Seeded(9);
  const std::vector<std::pair<float, std::set<int32_t>>> cases = {
      {0.05f, {1}},    {0.39f, {1}},       {0.41f, {1, 3}},
      {0.64f, {1, 3}}, {0.66f, {1, 3, 4}}, {0.96f, {0, 1, 2, 3, 4}}};
  for (const auto& [top_p, support] : cases) {
    params.top_p = top_p;
    EXPECT_EQ(Support(params, row), support) << top_p;
  }
  params.top_p = 0.64f;
  EXPECT_LT(ChiSquare(Histogram(params, row, 20000), {0, 0.4 / 0.65, 0, 0.25 / 0.65, 0}), 10.9);
}

// Nearly flat rows, so that every survivor shows up in the draws: the selection's set must be the sort's set.
TEST(SamplerTest, TopPSelectionAgreesWithASortOnLongerRows) {
  Rng rng(21);
  for (int round = 0; round < 12; ++round) {
    const size_t size = 33 + rng.NextBelow(170);
    std::vector<float> row(size);
    for (float& logit : row) logit = static_cast<float>(0.3 * rng.NextNormal());
    const double top_p = 0.05 + 0.94 * rng.NextDouble();
    const std::vector<double> probabilities = Softmax(row, 1.0);
    std::vector<Rank> order;
    for (size_t i = 0; i < size; ++i) order.push_back({row[i], static_cast<int32_t>(i)});
    std::sort(order.begin(), order.end(), Precedes);
    double mass = 0;
    std::set<int32_t> expected;
    for (const Rank& rank : order) {
      expected.insert(rank.token);
      mass += probabilities[static_cast<size_t>(rank.token)];
      if (mass >= top_p) break;
    }
    SamplingParams params = Seeded(rng.Next());
    params.top_p = static_cast<float>(top_p);
    EXPECT_EQ(Support(params, row, 12000), expected)
        << "round " << round << " size " << size << " top_p " << top_p;
  }
}

TEST(SamplerTest, MinPKeepsWhatIsLikelyEnoughBesideTheBest) {
  const std::vector<float> row = LogsOf({0.1, 0.4, 0.05, 0.25, 0.2});
  SamplingParams params = Seeded(10);
  params.min_p = 0.3f;  // 0.12 and more
  EXPECT_EQ(Support(params, row), std::set<int32_t>({1, 3, 4}));
  EXPECT_LT(ChiSquare(Histogram(params, row, 20000), {0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85}), 13.8);
  params.min_p = 1.0f;
  EXPECT_EQ(Support(params, row), std::set<int32_t>({1}));
  // Temperature comes first: at 2 the ratios are square roots, and 0.1 / 0.4 reaches 0.5.
  params.min_p = 0.49f;
  params.temperature = 2.0f;
  EXPECT_EQ(Support(params, row), std::set<int32_t>({0, 1, 3, 4}));
}

TEST(SamplerTest, TopPCountsInsideWhatMinPAndTopKLeft) {
  const std::vector<float> row = LogsOf({0.1, 0.4, 0.05, 0.25, 0.2});
  SamplingParams params = Seeded(12);
  params.top_k = 2;  // 0.4 and 0.25: renormalized 0.615 and 0.385
  params.top_p = 0.6f;
  EXPECT_EQ(Support(params, row), std::set<int32_t>({1}));
  params.top_p = 0.63f;
  EXPECT_EQ(Support(params, row), std::set<int32_t>({1, 3}));
}

TEST(SamplerTest, LogitBiasIsAddedToNamedIdsOnly) {
  SamplingParams params = Greedy();
  params.logit_bias = {{2, 4.0f}, {1, -100.0f}};
  EXPECT_EQ(SampleOnce(params, {1, 5, 2, 5}), 2);
  params.logit_bias = {{2, 2.0f}, {1, -1.0f}};
  EXPECT_EQ(SampleOnce(params, {1, 5, 2, 4.5}), 3);
}

TEST(SamplerTest, RepetitionPenaltyCoversPromptAndOutputByTheSignOfTheLogit) {
  SamplingParams params = Greedy();
  params.repetition_penalty = 2.0f;
  EXPECT_EQ(SampleOnce(params, {4, 3, 1}, 0, {}, {0}), 1) << "4 / 2 is below 3";
  EXPECT_EQ(SampleOnce(params, {4, 3, 1}, 0, {}, {}, {0, 0, 0}), 1) << "once, however often it came";
  EXPECT_EQ(SampleOnce(params, {-1, -1.5, -9}, 0, {}, {0}), 1) << "-1 x 2 is below -1.5";
  params.repetition_penalty = 1.25f;
  EXPECT_EQ(SampleOnce(params, {4, 3, 1}, 0, {}, {0}), 0);
}

TEST(SamplerTest, PresenceAndFrequencyPenaltiesCountTheOutputOnly) {
  SamplingParams presence = Greedy();
  presence.presence_penalty = 1.5f;
  EXPECT_EQ(SampleOnce(presence, {4, 3, 1}, 0, {}, {0}), 0) << "the prompt does not count";
  EXPECT_EQ(SampleOnce(presence, {4, 3, 1}, 0, {}, {}, {0}), 1);
  EXPECT_EQ(SampleOnce(presence, {5, 3, 1}, 0, {}, {}, {0, 0, 0}), 0) << "once, however often it came";

  SamplingParams frequency = Greedy();
  frequency.frequency_penalty = 0.5f;
  EXPECT_EQ(SampleOnce(frequency, {4, 3, 1}, 0, {}, {0, 0, 0}), 0);
  EXPECT_EQ(SampleOnce(frequency, {4, 3, 1}, 0, {}, {}, {0}), 0);
  EXPECT_EQ(SampleOnce(frequency, {4, 3, 1}, 0, {}, {}, {0, 0, 0}), 1);
  frequency.frequency_penalty = -2.0f;
  EXPECT_EQ(SampleOnce(frequency, {4, 3, 1}, 0, {}, {}, {2, 2}), 2) << "a negative one attracts";
}

TEST(SamplerTest, ExtremePenaltiesStayFinite) {
  SamplingParams params = Seeded(13);
  params.repetition_penalty = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(SampleOnce(params, {4, 3, 1}, 0, {}, {0}), 0);
  params.temperature = std::numeric_limits<float>::denorm_min();
  params.repetition_penalty = 1.0f;
  EXPECT_EQ(SampleOnce(params, {4, 3, 4.5, 1}), 2);
  params.min_p = params.top_p = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(SampleOnce(params, {4, 3, 4.5, 1}), 2);
}

TEST(SamplerTest, LogprobsAreThoseOfTheRawRow) {
  SamplingParams params = Greedy();
  params.num_logprobs = 2;
  params.repetition_penalty = 2.0f;
  params.logit_bias = {{2, 100.0f}};
  SamplerState sampler(params, std::vector<int32_t>{2});
  std::vector<float> row = LogsOf({0.5, 0.3, 0.2});
  const SampledToken sampled = sampler.Sample(row, FindMaximum(row), 0, std::vector<int32_t>{0});
  EXPECT_EQ(sampled.token, 2);
  ASSERT_NE(sampled.logprobs, nullptr);
  EXPECT_NEAR(sampled.logprobs->chosen, std::log(0.2), 1e-5);
  ASSERT_EQ(sampled.logprobs->top.size(), 2u);
  EXPECT_EQ(sampled.logprobs->top[0].token, 0) << "a forbidden token is still what the model would say";
  EXPECT_NEAR(sampled.logprobs->top[0].logprob, std::log(0.5), 1e-5);
  EXPECT_NEAR(sampled.logprobs->top[1].logprob, std::log(0.3), 1e-5);
}

TEST(SamplerTest, ZeroLogprobsGiveTheChosenTokenOnlyAndMinusOneNone) {
  SamplingParams params = Greedy();
  params.num_logprobs = 0;
  SamplerState sampler(params, {});
  std::vector<float> row = LogsOf({0.25, 0.75});
  const SampledToken sampled = sampler.Sample(row, FindMaximum(row), 0, {});
  ASSERT_NE(sampled.logprobs, nullptr);
  EXPECT_NEAR(sampled.logprobs->chosen, std::log(0.75), 1e-5);
  EXPECT_TRUE(sampled.logprobs->top.empty());
  SamplerState quiet(Greedy(), {});
  EXPECT_EQ(quiet.Sample(row, FindMaximum(row), 0, {}).logprobs, nullptr);
}

TEST(SamplerTest, OnlyAllowedTokensAreChosenAndLogprobsStayTheModelsOwn) {
  std::vector<float> row(100);
  for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(i) / 10;
  std::vector<uint64_t> allowed(2, 0);
  for (const int token : {3, 40, 70}) allowed[token / 64] |= uint64_t{1} << (token % 64);
  const double expected = row[70] - LogSumExp(row);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SamplingParams params;
    params.temperature = seed == 0 ? 0.0f : 2.0f;
    params.seed = seed;
    params.num_logprobs = 0;
    SamplerState state(params, {});
    std::vector<float> copy = row;
    const SampledToken sampled = state.Sample(copy, FindMaximum(copy), 0, {}, allowed);
    EXPECT_TRUE(sampled.token == 3 || sampled.token == 40 || sampled.token == 70) << sampled.token;
    if (seed == 0) {
      EXPECT_EQ(sampled.token, 70);
    }
    if (sampled.token == 70) {
      EXPECT_NEAR(sampled.logprobs->chosen, expected, 1e-4);
    }
  }
}

}  // namespace
}  // namespace weir
