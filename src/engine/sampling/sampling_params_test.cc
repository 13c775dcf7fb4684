#include "engine/sampling/sampling_params.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace weir {
namespace {

constexpr int kVocabSize = 512;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Case {
  std::string param;
  std::function<void(SamplingParams&)> set;
};

TEST(SamplingParamsTest, DefaultsAndBothEndsOfEveryRangeAreAccepted) {
  EXPECT_TRUE(Validate(SamplingParams{}, kVocabSize).ok());
  SamplingParams low;
  low.temperature = 0;
  low.top_k = -1;
  low.top_p = std::numeric_limits<float>::denorm_min();
  low.min_p = 0;
  low.repetition_penalty = std::numeric_limits<float>::denorm_min();
  low.presence_penalty = low.frequency_penalty = -2;
  low.logit_bias = {{0, -100.0f}};
  low.num_logprobs = -1;
  EXPECT_TRUE(Validate(low, kVocabSize).ok()) << Validate(low, kVocabSize).message();
  SamplingParams high;
  high.temperature = 2;
  high.top_k = kVocabSize;
  high.top_p = high.min_p = 1;
  high.repetition_penalty = high.presence_penalty = high.frequency_penalty = 2;
  high.logit_bias.assign(1024, {kVocabSize - 1, 100.0f});
  high.num_logprobs = 20;
  EXPECT_TRUE(Validate(high, kVocabSize).ok()) << Validate(high, kVocabSize).message();
}

TEST(SamplingParamsTest, EachNumberOutsideItsRangeIsRefusedByName) {
  std::vector<Case> cases;
  for (const float bad : {-0.1f, 2.1f, kNan, kInfinity}) {
    cases.push_back({"temperature", [bad](SamplingParams& p) { p.temperature = bad; }});
  }
  for (const int bad : {-2, kVocabSize + 1}) {
    cases.push_back({"top_k", [bad](SamplingParams& p) { p.top_k = bad; }});
  }
  for (const float bad : {0.0f, -1.0f, 1.01f, kNan}) {
    cases.push_back({"top_p", [bad](SamplingParams& p) { p.top_p = bad; }});
  }
  for (const float bad : {-0.01f, 1.01f, kNan}) {
    cases.push_back({"min_p", [bad](SamplingParams& p) { p.min_p = bad; }});
  }
  for (const float bad : {0.0f, -1.0f, 2.1f, kNan}) {
    cases.push_back({"repetition_penalty", [bad](SamplingParams& p) { p.repetition_penalty = bad; }});
  }
  for (const float bad : {-2.1f, 2.1f, kNan}) {
    cases.push_back({"presence_penalty", [bad](SamplingParams& p) { p.presence_penalty = bad; }});
    cases.push_back({"frequency_penalty", [bad](SamplingParams& p) { p.frequency_penalty = bad; }});
  }
  for (const int bad : {-2, 21}) {
    cases.push_back({"logprobs", [bad](SamplingParams& p) { p.num_logprobs = bad; }});
  }
  for (const int bad : {-1, kVocabSize}) {
    cases.push_back({"logit_bias", [bad](SamplingParams& p) { p.logit_bias = {{3, 1.0f}, {bad, 1.0f}}; }});
  }
  for (const float bad : {-100.5f, 100.5f, kNan, kInfinity}) {
    cases.push_back({"logit_bias", [bad](SamplingParams& p) { p.logit_bias = {{3, bad}}; }});
  }
  cases.push_back({"logit_bias", [](SamplingParams& p) { p.logit_bias.assign(1025, {3, 1.0f}); }});

  for (size_t i = 0; i < cases.size(); ++i) {
    SamplingParams params;
    cases[i].set(params);
    const Status status = Validate(params, kVocabSize);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << "case " << i << " " << cases[i].param;
    EXPECT_EQ(status.param(), cases[i].param) << "case " << i;
    EXPECT_NE(status.message().find(cases[i].param), std::string::npos) << status.message();
  }
}

}  // namespace
}  // namespace weir
