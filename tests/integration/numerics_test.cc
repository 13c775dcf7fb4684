// Holds the model against an fp32 oracle on the default model, for every kernel path that the machine has.
//
// The limits are those of docs/KERNELS.md, "Numerics". Measured figures are printed and kept as test
// properties.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "engine/sampling/logit_row.h"
#include "engine/sampling/logprobs.h"
#include "tests/integration/golden_logits.h"
#include "tests/integration/model_runner.h"

namespace weir {
namespace {

// Quantized activations move a logit by some tenths; two candidates closer than this may change places.
constexpr double kUndecidedGap = 0.35;
constexpr double kMinTop1Agreement = 0.97;
constexpr double kMaxMeanKl = 0.01;
constexpr int kGreedyPrompts = 20;
constexpr int kGreedyTokens = 32;
constexpr int kLogitRows = 64;
// The generic path serves portability, not speed; a part of the text shows the same errors.
constexpr size_t kGenericWindows = 2;

std::span<const float> RowOf(const MatrixView<float>& logits, int64_t row) {
  return {logits.row(row), static_cast<size_t>(logits.columns)};
}

class NumericsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!MachineHasIsa(GetParam())) GTEST_SKIP() << "this CPU has no " << GetParam();
    ModelRunner::Options options;
    options.isa = GetParam();
    options.max_logit_rows = kLogitRows;
    auto runner = ModelRunner::Create(options);
    ASSERT_TRUE(runner.has_value()) << runner.error().message();
    runner_ = std::move(*runner);
    ASSERT_EQ(runner_->model().isa(), GetParam());
  }
  bool is_generic() const { return std::string(GetParam()) == "generic"; }

  std::unique_ptr<ModelRunner> runner_;
};

// All prompts decode in one batch: the oracle decoded each alone.
TEST_P(NumericsTest, GreedyTokensEqualTheOracleWhereverItIsDecided) {
  auto golden = ReadGoldenGreedy();
  ASSERT_TRUE(golden.has_value()) << golden.error().message();
  ASSERT_EQ(golden->size(), static_cast<size_t>(kGreedyPrompts));

  std::vector<ModelRunner::Stream> streams(golden->size());
  std::vector<bool> compared(golden->size(), true);
  int num_equal = 0;
  int num_ended = 0;
  const auto take = [&](size_t i, std::span<const float> row) {
    const RowMaximum maximum = FindMaximum(row);
    ASSERT_TRUE(maximum.sound) << (*golden)[i].name;
    const size_t step = streams[i].tokens.size() - (*golden)[i].prompt.size();
    streams[i].tokens.push_back(maximum.best.token);
    if (!compared[i]) return;
    ASSERT_LT(step, (*golden)[i].tokens.size());
    if (maximum.best.token == (*golden)[i].tokens[step]) {
      ++num_equal;
      return;
    }
    compared[i] = false;  // from here on the two read different texts
    ++num_ended;
    EXPECT_LT((*golden)[i].gaps[step], kUndecidedGap)
        << (*golden)[i].name << ": token " << maximum.best.token << " at step " << step << ", the oracle has "
        << (*golden)[i].tokens[step] << " and its second best is that much lower";
  };

  for (size_t i = 0; i < streams.size(); ++i) {
    ASSERT_EQ((*golden)[i].tokens.size(), static_cast<size_t>(kGreedyTokens));
    streams[i].tokens = (*golden)[i].prompt;
    runner_->Begin();
    runner_->Add(streams[i], static_cast<int>(streams[i].tokens.size()), true);
    take(i, RowOf(runner_->Run(), 0));
  }
  for (int step = 1; step < kGreedyTokens; ++step) {
    runner_->Begin();
    for (ModelRunner::Stream& stream : streams) runner_->Add(stream, 1, true);
    const MatrixView<float> logits = runner_->Run();
    for (size_t i = 0; i < streams.size(); ++i) take(i, RowOf(logits, static_cast<int64_t>(i)));
  }
  for (ModelRunner::Stream& stream : streams) runner_->Release(stream);

  std::printf("%s: %d greedy tokens equal; %d of %d comparisons ended where the oracle's gap is below %.2f\n",
              GetParam(), num_equal, num_ended, kGreedyPrompts, kUndecidedGap);
  RecordProperty("greedy_equal", num_equal);
  // A broken model that only ever differs at undecided steps must not pass by comparing nothing.
  EXPECT_GE(num_equal, kGreedyPrompts * kGreedyTokens / 2);
}

TEST_P(NumericsTest, TeacherForcedTextStaysCloseToTheOracle) {
  auto golden = ReadGoldenWindows();
  ASSERT_TRUE(golden.has_value()) << golden.error().message();
  if (is_generic()) golden->resize(kGenericWindows);

  std::vector<double> divergences;
  int num_agreeing = 0;
  for (const GoldenWindow& window : *golden) {
    ModelRunner::Stream stream;
    stream.tokens = window.tokens;
    const int length = static_cast<int>(window.tokens.size());
    while (stream.num_computed < length) {
      const int first = stream.num_computed;
      runner_->Begin();
      runner_->Add(stream, std::min(kLogitRows, length - first), true, true);
      const MatrixView<float> logits = runner_->Run();
      for (int64_t row = 0; row < logits.rows; ++row) {
        const GoldenPosition& position = window.positions[static_cast<size_t>(first + row)];
        const std::span<const float> values = RowOf(logits, row);
        const RowMaximum maximum = FindMaximum(values);
        ASSERT_TRUE(maximum.sound);
        num_agreeing += maximum.best.token == position.top[0];

        const double log_sum = LogSumExp(values);
        const auto logprob = [&](int32_t token) { return values[static_cast<size_t>(token)] - log_sum; };
        // KL is the sum of p ln(p/q) + q - p over the vocabulary, where the differences cancel. In this form every
        // term is of second order, so that 16-bit log-probabilities and a sample of the tail are exact enough.
        const auto term = [&](double theirs, int32_t token) {
          const double ratio = theirs - logprob(token);
          return ratio + std::exp(-ratio) - 1.0;
        };
        double divergence = 0;
        for (size_t j = 0; j < position.top.size(); ++j) {
          divergence += std::exp(position.top_logprobs[j]) * term(position.top_logprobs[j], position.top[j]);
        }
        for (size_t j = 0; j < position.sample.size(); ++j) {
          divergence += position.rest / static_cast<double>(position.sample.size()) *
                        term(position.sample_logprobs[j], position.sample[j]);
        }
        divergences.push_back(divergence);
      }
    }
    runner_->Release(stream);
  }

  const double count = static_cast<double>(divergences.size());
  ASSERT_GE(count, is_generic() ? 700 : 2000);
  double mean = 0;
  for (const double divergence : divergences) mean += divergence / count;
  std::sort(divergences.begin(), divergences.end());
  const double p99 = divergences[divergences.size() * 99 / 100];
  const double agreement = num_agreeing / count;
  std::printf("%s: %.0f tokens: mean KL %.5f, p99 %.4f, top-1 %.2f %%\n", GetParam(), count, mean, p99,
              100 * agreement);
  RecordProperty("mean_kl", std::to_string(mean));
  RecordProperty("top1_agreement", std::to_string(agreement));
  EXPECT_LE(mean, kMaxMeanKl);
  EXPECT_GE(agreement, kMinTop1Agreement);
}

INSTANTIATE_TEST_SUITE_P(Isa, NumericsTest, testing::Values("generic", "avx2", "avx512vnni"),
                         [](const auto& name) { return std::string(name.param); });

}  // namespace
}  // namespace weir
