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
constexpr double kMaxInt8CacheKl = 0.002;
constexpr int kLongContext = kSanitized ? 96 : 1024;
constexpr int kLongText = kSanitized ? 160 : 1536;
constexpr int kGreedyPrompts = 20;
constexpr int kGreedyTokens = 32;
constexpr int kLogitRows = 64;
// The generic path serves portability and is a hundred times slower: it takes a sample of the same comparisons, too
// small for a rate of agreement, and so does every path under a sanitizer. The slow set is built with WEIR_SLOW and takes
// it through all of them.
#if defined(WEIR_SLOW)
constexpr bool kSamplesGeneric = false;
const auto kPaths = testing::Values("generic");
const auto kWholePaths = testing::Values("generic");
#else
constexpr bool kSamplesGeneric = true;
const auto kPaths = testing::Values("generic", "avx2", "avx512vnni", "avx512bf16", "amx");
const auto kWholePaths = testing::Values("avx2", "avx512vnni", "avx512bf16", "amx");
#endif
constexpr size_t kSamplePromptTokens = 30;  // prompts up to this length
constexpr int kSampleGreedyTokens = 6;
constexpr int kSampleTextTokens = 128;

std::span<const float> RowOf(const MatrixView<float>& logits, int64_t row) {
  return {logits.row(row), static_cast<size_t>(logits.columns)};
}

class NumericsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!MachineHasIsa(GetParam())) GTEST_SKIP() << "this CPU has no " << GetParam();
    if (kSanitized && is_generic()) GTEST_SKIP() << "more than ten minutes under a sanitizer";
    ModelRunner::Options options;
    options.isa = GetParam();
    options.max_logit_rows = kLogitRows;
    auto runner = ModelRunner::Create(options);
    ASSERT_TRUE(runner.has_value()) << runner.error().message();
    runner_ = std::move(*runner);
    ASSERT_EQ(runner_->model().isa(), GetParam());
  }
  bool is_generic() const { return std::string(GetParam()) == "generic"; }
  bool takes_sample() const { return kSanitized || (kSamplesGeneric && is_generic()); }

  std::unique_ptr<ModelRunner> runner_;
};

// All prompts decode in one batch: the oracle decoded each alone.
TEST_P(NumericsTest, GreedyTokensEqualTheOracleWhereverItIsDecided) {
  auto golden = ReadGoldenGreedy();
  ASSERT_TRUE(golden.has_value()) << golden.error().message();
  ASSERT_EQ(golden->size(), static_cast<size_t>(kGreedyPrompts));
  if (takes_sample()) {
    std::erase_if(*golden,
                  [](const GoldenGreedy& entry) { return entry.prompt.size() > kSamplePromptTokens; });
  }
  const int num_prompts = static_cast<int>(golden->size());
  const int num_tokens = takes_sample() ? kSampleGreedyTokens : kGreedyTokens;

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
    streams[i].num_prompt = static_cast<int>(streams[i].tokens.size());
    runner_->Begin();
    runner_->Add(streams[i], static_cast<int>(streams[i].tokens.size()), true);
    take(i, RowOf(runner_->Run(), 0));
  }
  for (int step = 1; step < num_tokens; ++step) {
    runner_->Begin();
    for (ModelRunner::Stream& stream : streams) runner_->Add(stream, 1, true);
    const MatrixView<float> logits = runner_->Run();
    for (size_t i = 0; i < streams.size(); ++i) take(i, RowOf(logits, static_cast<int64_t>(i)));
  }
  for (ModelRunner::Stream& stream : streams) runner_->Release(stream);

  std::printf("%s: %d greedy tokens equal; %d of %d comparisons ended where the oracle's gap is below %.2f\n",
              GetParam(), num_equal, num_ended, num_prompts, kUndecidedGap);
  RecordProperty("greedy_equal", num_equal);
  // A broken model that only ever differs at undecided steps must not pass by comparing nothing.
  EXPECT_GE(num_equal, num_prompts * num_tokens / 2);
}

// How far the engine is from the oracle over a golden file.
struct Closeness {
  int num_positions = 0;
  double mean_kl = 0;
  double p99_kl = 0;
  double agreement = 0;
};

// KL is the sum of p ln(p/q) + q - p over the vocabulary, where the differences cancel. In this form every term is of
// second order, so that 16-bit log-probabilities and a sample of the tail are exact enough.
double Divergence(const GoldenPosition& position, std::span<const float> logits) {
  const double log_sum = LogSumExp(logits);
  const auto term = [&](double theirs, int32_t token) {
    const double ratio = theirs - (logits[static_cast<size_t>(token)] - log_sum);
    return ratio + std::exp(-ratio) - 1.0;
  };
  double sum = 0;
  for (size_t j = 0; j < position.top.size(); ++j) {
    sum += std::exp(position.top_logprobs[j]) * term(position.top_logprobs[j], position.top[j]);
  }
  for (size_t j = 0; j < position.sample.size(); ++j) {
    sum += position.rest / static_cast<double>(position.sample.size()) *
           term(position.sample_logprobs[j], position.sample[j]);
  }
  return sum;
}

Closeness Measure(ModelRunner& runner, std::vector<GoldenWindow> windows, int max_tokens) {
  std::vector<double> divergences;
  int num_agreeing = 0;
  for (const GoldenWindow& window : windows) {
    ModelRunner::Stream stream;
    stream.tokens = window.tokens;
    const int length = std::min(static_cast<int>(window.tokens.size()), max_tokens);
    while (stream.num_computed < length) {
      const int first = stream.num_computed;
      runner.Begin();
      runner.Add(stream, std::min(kLogitRows, length - first), true, true);
      const MatrixView<float> logits = runner.Run();
      for (int64_t row = 0; row < logits.rows; ++row) {
        if (first + row < window.first) continue;
        const GoldenPosition& position = window.positions[static_cast<size_t>(first + row - window.first)];
        const RowMaximum maximum = FindMaximum(RowOf(logits, row));
        EXPECT_TRUE(maximum.sound);
        num_agreeing += maximum.best.token == position.top[0];
        divergences.push_back(Divergence(position, RowOf(logits, row)));
      }
    }
    runner.Release(stream);
  }
  Closeness result;
  result.num_positions = static_cast<int>(divergences.size());
  if (divergences.empty()) return result;
  for (const double divergence : divergences) result.mean_kl += divergence / result.num_positions;
  std::sort(divergences.begin(), divergences.end());
  result.p99_kl = divergences[divergences.size() * 99 / 100];
  result.agreement = static_cast<double>(num_agreeing) / result.num_positions;
  return result;
}

void Report(const char* isa, const char* what, const Closeness& closeness) {
  std::printf("%s, %s: %d tokens: mean KL %.5f, p99 %.4f, top-1 %.2f %%\n", isa, what,
              closeness.num_positions, closeness.mean_kl, closeness.p99_kl, 100 * closeness.agreement);
  testing::Test::RecordProperty("mean_kl", std::to_string(closeness.mean_kl));
  testing::Test::RecordProperty("top1_agreement", std::to_string(closeness.agreement));
}

// Comparisons of which the generic path takes none where it takes samples.
class WholeNumericsTest : public NumericsTest {};

TEST_P(WholeNumericsTest, TranscriptsStayCloseToTheOracle) {
  auto golden = ReadGoldenWindows("transcripts.bin");
  ASSERT_TRUE(golden.has_value()) << golden.error().message();
  if (takes_sample()) golden->resize(1);
  const Closeness closeness = Measure(*runner_, std::move(*golden), 1 << 20);
  Report(GetParam(), "transcripts", closeness);
  EXPECT_GE(closeness.num_positions, takes_sample() ? 1 : 2000);
  EXPECT_LE(closeness.mean_kl, kMaxMeanKl);
  if (!takes_sample()) {
    EXPECT_GE(closeness.agreement, kMinTop1Agreement);
  }
}

TEST_P(NumericsTest, TextStaysCloseToTheOracle) {
  auto golden = ReadGoldenWindows("text.bin");
  ASSERT_TRUE(golden.has_value()) << golden.error().message();
  if (takes_sample()) golden->resize(1);
  const Closeness closeness =
      Measure(*runner_, std::move(*golden), takes_sample() ? kSampleTextTokens : 1 << 20);
  Report(GetParam(), "text", closeness);
  EXPECT_GE(closeness.num_positions, takes_sample() ? kSampleTextTokens : 2000);
  EXPECT_LE(closeness.mean_kl, kMaxMeanKl);
  if (!takes_sample()) {
    EXPECT_GE(closeness.agreement, kMinTop1Agreement);
  }
}

// KL between the two caches over positions whose context is longer than the windows of the oracle.
double DivergenceOfCaches(ModelRunner& fp16, ModelRunner& int8, const std::vector<int32_t>& text,
                          int first_position) {
  ModelRunner::Stream streams[2];
  double sum = 0;
  while (streams[0].num_computed < static_cast<int>(text.size())) {
    const int first = streams[0].num_computed;
    const int count = std::min(kLogitRows, static_cast<int>(text.size()) - first);
    MatrixView<float> logits[2];
    ModelRunner* const runners[] = {&fp16, &int8};
    for (int i = 0; i < 2; ++i) {
      streams[i].tokens = text;
      runners[i]->Begin();
      runners[i]->Add(streams[i], count, true, true);
      logits[i] = runners[i]->Run();
    }
    for (int64_t row = std::max(0, first_position - first); row < count; ++row) {
      const double log_sums[] = {LogSumExp(RowOf(logits[0], row)), LogSumExp(RowOf(logits[1], row))};
      for (int64_t token = 0; token < logits[0].columns; ++token) {
        const double p = logits[0].row(row)[token] - log_sums[0];
        sum += std::exp(p) * (p - (logits[1].row(row)[token] - log_sums[1]));
      }
    }
  }
  fp16.Release(streams[0]);
  int8.Release(streams[1]);
  return sum / static_cast<double>(static_cast<int>(text.size()) - first_position);
}

TEST_P(WholeNumericsTest, AnInt8CacheAddsLittleDivergenceAtShortAndLongContexts) {
  ModelRunner::Options options;
  options.isa = GetParam();
  options.max_logit_rows = kLogitRows;
  options.kv_dtype = KvDtype::kInt8;
  auto int8 = ModelRunner::Create(options);
  ASSERT_TRUE(int8.has_value()) << int8.error().message();
  auto golden = ReadGoldenWindows("text.bin");
  ASSERT_TRUE(golden.has_value()) << golden.error().message();
  std::vector<int32_t> text;
  for (const GoldenWindow& window : *golden)
    text.insert(text.end(), window.tokens.begin(), window.tokens.end());
  ASSERT_GE(text.size(), static_cast<size_t>(kLongText));
  text.resize(kLongText);
  if (takes_sample()) golden->resize(1);

  const double long_kl = DivergenceOfCaches(*runner_, **int8, text, kLongContext);
  const Closeness with_fp16 = Measure(*runner_, *golden, 1 << 20);
  const Closeness with_int8 = Measure(**int8, *golden, 1 << 20);
  Report(GetParam(), "text, int8 cache", with_int8);
  std::printf(
      "%s: int8 cache instead of fp16: mean KL against the oracle %+.6f; between the two at contexts of %d "
      "to %d tokens %.6f\n",
      GetParam(), with_int8.mean_kl - with_fp16.mean_kl, kLongContext, kLongText, long_kl);
  RecordProperty("int8_cache_kl", std::to_string(long_kl));
  EXPECT_GT(long_kl, 0) << "both caches gave the same logits: one of them was not used";
  EXPECT_LE(long_kl, kMaxInt8CacheKl);
  EXPECT_LE(with_int8.mean_kl - with_fp16.mean_kl, kMaxInt8CacheKl);
  if (!takes_sample()) {
    EXPECT_GE(with_int8.agreement, kMinTop1Agreement);
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, NumericsTest, kPaths, [](const auto& name) { return std::string(name.param); });
INSTANTIATE_TEST_SUITE_P(Isa, WholeNumericsTest, kWholePaths,
                         [](const auto& name) { return std::string(name.param); });

}  // namespace
}  // namespace weir
