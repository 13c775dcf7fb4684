#include "engine/model/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "engine/kernels/kernels.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

constexpr int kNumBlocks = 64;
constexpr int kLongPrompt = 530;

// A tiny model with a cache of its own.
class Runner {
 public:
  Runner(const TinyModelOptions& tiny, const ModelOptions& options) : model_file_(tiny), pool_(kNumBlocks) {
    auto file = ModelFile::Open(model_file_.path());
    EXPECT_TRUE(file.has_value()) << file.error().message();
    auto model = Model::Load(**file, options);
    EXPECT_TRUE(model.has_value()) << model.error().message();
    model_ = *std::move(model);
    auto kv = KvStorage::Create(model_->config().kv_shape(), kNumBlocks);
    EXPECT_TRUE(kv.has_value());
    kv_ = *std::move(kv);
  }

  const Model& model() const { return *model_; }
  BlockPool& pool() { return pool_; }

  std::vector<float> Forward(const Batch& batch) {
    const size_t rows = batch.logit_rows.size();
    std::vector<float> logits(rows * kTinyVocabSize);
    std::vector<RowMaximum> maxima(rows);
    model_->Forward(batch, kv_, MatrixView<float>(logits.data(), static_cast<int64_t>(rows), kTinyVocabSize),
                    maxima);
    for (size_t row = 0; row < rows; ++row) {
      const auto first = logits.begin() + static_cast<std::ptrdiff_t>(row * kTinyVocabSize);
      const auto best = std::max_element(first, first + kTinyVocabSize);
      EXPECT_TRUE(maxima[row].sound);
      EXPECT_EQ(maxima[row].best.logit, *best);
      EXPECT_EQ(maxima[row].best.token, best - first);
    }
    return logits;
  }

  // Logits of every position, taken in pieces of `chunk`.
  std::vector<float> Run(const std::vector<int32_t>& tokens, int chunk,
                         TokenOrigin origin = TokenOrigin::kPrompt) {
    BlockTable table;
    table.Cover(pool_, static_cast<int64_t>(tokens.size()));
    std::vector<float> all;
    for (int first = 0; first < static_cast<int>(tokens.size()); first += chunk) {
      Batch batch;
      batch.AddSequence(origin, tokens.data(), first,
                        std::min(chunk, static_cast<int>(tokens.size()) - first), table, true, true);
      const auto logits = Forward(batch);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    table.Free(pool_);
    return all;
  }

 private:
  TinyModel model_file_;
  std::unique_ptr<Model> model_;
  BlockPool pool_;
  KvStorage kv_;
};

std::vector<int32_t> Tokens(int count, int seed) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + seed * 101 + 3) % kTinyVocabSize);
  return tokens;
}

ModelOptions Options(std::string_view isa, int threads) {
  ModelOptions options;
  options.isa = isa;
  options.num_threads = threads;
  options.max_rows = 256;
  options.max_logit_rows = 256;
  return options;
}

bool HasPromptKernels(std::string_view path) { return (*SelectKernels(path))->prompt_attention != nullptr; }

// Largest difference, as a share of the largest value.
double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = std::max<double>(difference, std::fabs(a[i] - b[i]));
    largest = std::max<double>(largest, std::fabs(b[i]));
  }
  return difference / largest;
}

// What a path with prompt kernels of its own may differ by. It rounds less than the generic path with its codes of 8 bits,
// which alone moves the logits of these random models by up to 0.12; something in a wrong place moves them by about 1. How
// close the path is to the truth is what the kernels' tests and the real model's show.
constexpr double kPromptDistance = 0.2;

// What a path should give for the tokens of a prompt: what the generic one does, or its own logits if those are close.
std::vector<float> ExpectedOfPrompt(const std::vector<float>& generic, std::string_view path,
                                    const std::function<std::vector<float>()>& run) {
  if (!HasPromptKernels(path)) return generic;
  const std::vector<float> own = run();
  EXPECT_LT(Distance(own, generic), kPromptDistance) << path;
  return own;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(ModelTest, LogitsDoNotDependOnChunksThreadsOrPath) {
  const auto tokens = Tokens(90, 1);  // beyond one group of 64 keys
  for (const DType type :
       {DType::kQ4_1, DType::kQ4_0, DType::kQ8_0, DType::kF16, DType::kBF16, DType::kF32}) {
    TinyModelOptions tiny;
    tiny.weight_type = type;
    const auto expected = Runner(tiny, Options("generic", 1)).Run(tokens, 90);
    for (const float v : expected) ASSERT_TRUE(std::isfinite(v));
    for (const std::string_view path : KnownKernelPaths()) {
      if (!CpuSupports(path)) continue;
      for (const int threads : {1, 2}) {
        Runner runner(tiny, Options(path, threads));
        const auto of_prompt =
            ExpectedOfPrompt(expected, path, [&] { return Runner(tiny, Options(path, 1)).Run(tokens, 90); });
        for (const int chunk : {1, 7, 64, 90}) {
          ASSERT_TRUE(SameBits(runner.Run(tokens, chunk), of_prompt))
              << Traits(type).name << " " << path << ", " << threads << " threads, chunks of " << chunk;
          ASSERT_TRUE(SameBits(runner.Run(tokens, chunk, TokenOrigin::kGenerated), expected))
              << Traits(type).name << " " << path << ", " << threads << " threads, chunks of " << chunk;
        }
      }
    }
  }
}

// Rows of 256, which the types with super-blocks need. Every matrix of the file has the type.
TEST(ModelTest, EveryTypeComputesAlikeOnEveryPath) {
  const auto tokens = Tokens(21, 3);
  for (const DType type : {DType::kQ4_K, DType::kQ6_K, DType::kQ5_K, DType::kQ2_K, DType::kQ3_K,
                           DType::kIQ4_XS, DType::kIQ4_NL, DType::kQ5_0, DType::kQ5_1}) {
    TinyModelOptions tiny;
    tiny.weight_type = type;
    tiny.hidden_size = 256;
    tiny.ffn_size = 512;
    const auto expected = Runner(tiny, Options("generic", 2)).Run(tokens, 21);
    for (const float v : expected) ASSERT_TRUE(std::isfinite(v));
    for (const std::string_view path : KnownKernelPaths()) {
      if (!CpuSupports(path)) continue;
      Runner runner(tiny, Options(path, 2));
      const auto of_prompt = ExpectedOfPrompt(expected, path, [&] { return runner.Run(tokens, 21); });
      for (const int chunk : {1, 5, 21}) {
        ASSERT_TRUE(SameBits(runner.Run(tokens, chunk), of_prompt))
            << Traits(type).name << " " << path << ", chunks of " << chunk;
        ASSERT_TRUE(SameBits(runner.Run(tokens, chunk, TokenOrigin::kGenerated), expected))
            << Traits(type).name << " " << path << ", chunks of " << chunk;
      }
    }
  }
}

// Beyond two chunks of keys, which two threads share where one does not.
TEST(ModelTest, LongContextsKeepTheirLogitsInBothCaches) {
  const auto tokens = Tokens(kLongPrompt, 4);
  std::vector<std::vector<float>> of_dtypes;
  for (const KvDtype dtype : {KvDtype::kF16, KvDtype::kInt8}) {
    ModelOptions options = Options("generic", 1);
    options.kv_dtype = dtype;
    const auto expected = Runner({}, options).Run(tokens, 256);
    for (const float v : expected) ASSERT_TRUE(std::isfinite(v));
    for (const std::string_view path : KnownKernelPaths()) {
      if (!CpuSupports(path)) continue;
      // The generic path is too slow for every mix.
      for (const int threads : path == "generic" ? std::vector<int>{2} : std::vector<int>{1, 2}) {
        options.isa = path;
        options.num_threads = threads;
        Runner runner({}, options);
        const auto of_prompt = ExpectedOfPrompt(expected, path, [&] { return runner.Run(tokens, 256); });
        for (const int chunk : path == "generic" ? std::vector<int>{50} : std::vector<int>{1, 50}) {
          ASSERT_TRUE(SameBits(runner.Run(tokens, chunk), of_prompt))
              << KvDtypeName(dtype) << " " << path << ", " << threads << " threads, chunks of " << chunk;
          if (path == "generic") continue;  // the same again
          ASSERT_TRUE(SameBits(runner.Run(tokens, chunk, TokenOrigin::kGenerated), expected))
              << KvDtypeName(dtype) << " " << path << ", " << threads << " threads, chunks of " << chunk;
        }
      }
    }
    of_dtypes.push_back(expected);
  }
  double difference = 0;
  double magnitude = 0;
  for (size_t i = 0; i < of_dtypes[0].size(); ++i) {
    difference += std::pow(double{of_dtypes[0][i]} - double{of_dtypes[1][i]}, 2);
    magnitude += std::pow(double{of_dtypes[0][i]}, 2);
  }
  EXPECT_GT(difference, 0) << "the int8 cache was not used";
  // Some 3 % with random weights, which spread what rounding begins; mixed-up columns or scales make it about 1.
  EXPECT_LT(std::sqrt(difference / magnitude), 0.1);
}

TEST(ModelTest, ARowDoesNotSeeItsNeighboursInTheBatch) {
  for (const std::string_view path : KnownKernelPaths()) {
    if (!CpuSupports(path)) continue;
    Runner runner({}, Options(path, 2));
    for (const int others : {1, 2, 7, 32}) {
      std::vector<std::vector<int32_t>> prompts;
      std::vector<BlockTable> tables(static_cast<size_t>(others) + 1);
      Batch batch;
      for (int i = 0; i <= others; ++i) {
        prompts.push_back(Tokens(3 + i % 5, i));
        BlockTable& table = tables[static_cast<size_t>(i)];
        table.Cover(runner.pool(), static_cast<int64_t>(prompts.back().size()));
        batch.AddSequence(TokenOrigin::kPrompt, prompts.back().data(), 0,
                          static_cast<int>(prompts.back().size()), table, true, true);
      }
      const auto together = runner.Forward(batch);
      for (BlockTable& table : tables) table.Free(runner.pool());
      size_t at = 0;
      for (const auto& prompt : prompts) {
        const auto alone = runner.Run(prompt, static_cast<int>(prompt.size()));
        ASSERT_EQ(std::memcmp(alone.data(), together.data() + at, alone.size() * sizeof(float)), 0)
            << path << " beside " << others;
        at += alone.size();
      }
    }
  }
}

TEST(ModelTest, LogitsOfSomeRowsAreThoseOfAll) {
  // Of a prompt that ends, one that wants all, one that goes on, and generated tokens.
  const auto wanted = Tokens(41, 1), whole = Tokens(9, 2), going_on = Tokens(70, 3),
             generated = Tokens(23, 4);
  for (const std::string_view path : KnownKernelPaths()) {
    if (!CpuSupports(path)) continue;
    Runner runner({}, Options(path, 2));
    const auto of_wanted = runner.Run(wanted, 41);
    const auto of_whole = runner.Run(whole, 9);
    const auto of_going_on = runner.Run(going_on, 70);
    std::vector<BlockTable> tables(4);
    const auto table_of = [&](size_t i, const std::vector<int32_t>& tokens) -> const BlockTable& {
      tables[i].Cover(runner.pool(), static_cast<int64_t>(tokens.size()));
      return tables[i];
    };
    Batch first;
    first.AddSequence(TokenOrigin::kPrompt, wanted.data(), 0, 30, table_of(0, wanted), false);
    first.AddSequence(TokenOrigin::kPrompt, generated.data(), 0, 22, table_of(1, generated), false);
    EXPECT_TRUE(runner.Forward(first).empty());
    Batch second;
    second.AddSequence(TokenOrigin::kPrompt, going_on.data(), 0, 50, table_of(2, going_on), false);
    second.AddSequence(TokenOrigin::kPrompt, wanted.data(), 30, 11, tables[0], true);
    second.AddSequence(TokenOrigin::kPrompt, whole.data(), 0, 9, table_of(3, whole), true, true);
    second.AddSequence(TokenOrigin::kGenerated, generated.data(), 22, 1, tables[1], true);
    const auto together = runner.Forward(second);
    Batch third;
    third.AddSequence(TokenOrigin::kPrompt, going_on.data(), 50, 20, tables[2], true);
    const auto end = runner.Forward(third);
    for (BlockTable& table : tables) table.Free(runner.pool());

    const auto row = [](const std::vector<float>& logits, size_t at) {
      const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(at * kTinyVocabSize);
      return std::vector<float>(begin, begin + kTinyVocabSize);
    };
    ASSERT_EQ(together.size(), 11u * kTinyVocabSize);
    EXPECT_TRUE(SameBits(row(together, 0), row(of_wanted, 40))) << path;
    for (size_t i = 0; i < 9; ++i) EXPECT_TRUE(SameBits(row(together, 1 + i), row(of_whole, i))) << path << i;
    EXPECT_TRUE(SameBits(end, row(of_going_on, 69))) << path;
    // The prompt's part of it was computed as a prompt here too.
    BlockTable table;
    table.Cover(runner.pool(), 23);
    Batch prompt, last;
    prompt.AddSequence(TokenOrigin::kPrompt, generated.data(), 0, 22, table, true, true);
    last.AddSequence(TokenOrigin::kGenerated, generated.data(), 22, 1, table, true);
    runner.Forward(prompt);
    EXPECT_TRUE(SameBits(row(together, 10), runner.Forward(last))) << path;
    table.Free(runner.pool());
  }
}

TEST(ModelTest, DifferentContextsGiveDifferentLogits) {
  Runner runner({}, Options("", 1));
  auto a = Tokens(20, 1);
  auto b = a;
  b[0] = (b[0] + 1) % kTinyVocabSize;
  const auto of_a = runner.Run(a, 20);
  const auto of_b = runner.Run(b, 20);
  EXPECT_NE(
      std::memcmp(of_a.data() + 19 * kTinyVocabSize, of_b.data() + 19 * kTinyVocabSize, kTinyVocabSize * 4),
      0);
}

TEST(ModelTest, OwnOutputMatrixAndOddShapesWork) {
  TinyModelOptions tiny;
  tiny.tied_embeddings = false;
  tiny.weight_type = DType::kF32;
  tiny.hidden_size = 40;
  tiny.num_heads = 2;  // heads of 20: strips straddle them
  tiny.num_kv_heads = 1;
  tiny.ffn_size = 50;
  const auto expected = Runner(tiny, Options("generic", 1)).Run(Tokens(30, 2), 30);
  for (const std::string_view path : KnownKernelPaths()) {
    if (!CpuSupports(path)) continue;
    EXPECT_TRUE(SameBits(Runner(tiny, Options(path, 2)).Run(Tokens(30, 2), 11), expected)) << path;
  }
}

TEST(ModelTest, CostCountsEveryMatrixOnce) {
  Runner runner({}, Options("", 1));
  ModelOptions int8 = Options("", 1);
  int8.kv_dtype = KvDtype::kInt8;
  EXPECT_EQ(Runner({}, int8).model().cost().kv_bytes_per_token, 2 * 2 * 2 * (16 + 4));
  const ModelCost& cost = runner.model().cost();
  const int64_t layer = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128;
  EXPECT_EQ(cost.macs_per_token, 2 * layer + 64 * kTinyVocabSize);
  EXPECT_EQ(cost.kv_bytes_per_token, 2 * 2 * 2 * 2 * 16);
  int64_t of_logit_rows = 0;
  for (const auto& type : cost.types) of_logit_rows += type.logit_row_macs;
  EXPECT_EQ(of_logit_rows, layer - 64 * 32 * 2 + 64 * kTinyVocabSize);
}

TEST(HostileModel, G11RefusesNonFiniteWeights) {
  struct Case {
    DType type;
    const char* tensor;
    size_t byte;
    const char* place;  // what the message says of the place
  };
  // The second block of a row, its scale and for Q4_1 also its minimum; a weight itself where there are no blocks.
  const Case cases[] = {
      {DType::kQ4_1, "blk.1.ffn_down.weight", 20, "row 0, column 32"},
      {DType::kQ4_1, "blk.1.ffn_down.weight", 22, "row 0, column 32"},
      {DType::kQ8_0, "blk.0.attn_q.weight", 34, "row 0, column 32"},
      {DType::kQ4_0, "token_embd.weight", 18, "row 0, column 32"},
      {DType::kF16, "blk.0.ffn_up.weight", 6, "row 0, column 3"},
      {DType::kQ4_1, "blk.0.attn_norm.weight", 8, ""},
      {DType::kQ4_1, "output_norm.weight", 0, ""},
  };
  // The high bytes of 16- and of 32-bit numbers, little-endian.
  const std::string halves[] = {{"\x01\x7e", 2}, {"\x00\x7c", 2}, {"\x00\xfc", 2}};
  const std::string floats[] = {{"\x01\x00\xc0\x7f", 4}, {"\x00\x00\x80\x7f", 4}, {"\x00\x00\x80\xff", 4}};
  for (const Case& c : cases) {
    const bool is_norm = std::string_view(c.tensor).ends_with("norm.weight");
    for (const std::string& bad : is_norm ? floats : halves) {
      SCOPED_TRACE(std::string(c.tensor) + " " + std::to_string(c.byte));
      TinyModelOptions tiny;
      tiny.weight_type = c.type;
      GgufWriter writer = TinyModelFile(tiny);
      GgufTensor* tensor = writer.FindTensor(c.tensor);
      ASSERT_NE(tensor, nullptr);
      tensor->data.replace(c.byte, bad.size(), bad);
      const TempFile damaged(writer.Build());
      const auto file = ModelFile::Open(damaged.path());
      ASSERT_TRUE(file.has_value()) << file.error().message();
      const auto model = Model::Load(**file, Options("", 2));
      ASSERT_FALSE(model.has_value());
      EXPECT_EQ(model.error().code(), StatusCode::kDataLoss);
      EXPECT_NE(model.error().message().find(c.tensor), std::string::npos) << model.error().message();
      EXPECT_NE(model.error().message().find(c.place), std::string::npos) << model.error().message();
    }
  }
}

TEST(ModelTest, ForcedPathThatTheCpuLacksIsRefused) {
  const TinyModel tiny;
  const auto file = ModelFile::Open(tiny.path());
  ASSERT_TRUE(file.has_value());
  const auto model = Model::Load(**file, Options("avx9000", 1));
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weir
