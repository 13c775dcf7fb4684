// Where an engine's weights come from: a file that is repacked, a file that stays mapped, or nowhere.
#include <cmath>
#include <cstring>

#include "base/file.h"
#include "engine/kernels/kernels.h"
#include "tests/support/engine_harness.h"

namespace weir {
namespace {

// Small, and too narrow for types of 256 columns.
constexpr SyntheticShape kSmall = {"small", 3, 128, 4, 2, 32, 160, 600, 512, 10000.0f, true};

std::vector<float> Logits(const ModelFile& file, std::string_view isa) {
  ModelOptions options;
  options.num_threads = 2;
  options.isa = isa;
  auto model = Model::Load(file, options);
  EXPECT_TRUE(model.has_value()) << model.status().message();
  auto kv = KvStorage::Create((*model)->config().kv_shape(), 8);
  BlockPool pool(8);
  BlockTable table;
  table.Cover(pool, 40);
  std::vector<int32_t> tokens;
  for (int i = 0; i < 40; ++i) tokens.push_back((i * 53 + 7) % 600);
  Batch batch;
  batch.AddSequence(TokenOrigin::kGenerated, tokens.data(), 0, 40, table, true, true);
  std::vector<float> logits(batch.logit_rows.size() * 600);
  (*model)->Forward(batch, *kv,
                    MatrixView<float>(logits.data(), static_cast<int64_t>(batch.logit_rows.size()), 600), {});
  table.Free(pool);
  return logits;
}

TEST(EngineWeightsTest, SyntheticWeightsGiveFiniteLogitsThatDiffer) {
  for (const Quantization quantization :
       {Quantization::kQ8_0, Quantization::kQ4_0, Quantization::kQ4_1, Quantization::kBF16}) {
    const auto file = MakeSyntheticModel(kSmall, quantization, 1, "small");
    ASSERT_TRUE(file.has_value());
    const auto logits = Logits(**file, "");
    double sum = 0, squares = 0;
    for (const float value : logits) {
      ASSERT_TRUE(std::isfinite(value));
      sum += value;
      squares += double{value} * value;
    }
    const double n = static_cast<double>(logits.size());
    const double deviation = std::sqrt(squares / n - (sum / n) * (sum / n));
    EXPECT_GT(deviation, 0.02);
    EXPECT_LT(deviation, 20.0);
  }
}

TEST(EngineWeightsTest, SyntheticWeightsAreTheSameForEveryKernelPath) {
  const auto file = MakeSyntheticModel(kSmall, Quantization::kQ4_1, 1, "small");
  ASSERT_TRUE(file.has_value());
  const auto expected = Logits(**file, "generic");
  for (const std::string_view isa : KnownKernelPaths()) {
    if (!CpuSupports(isa)) continue;
    const auto found = Logits(**file, isa);
    EXPECT_EQ(std::memcmp(expected.data(), found.data(), expected.size() * sizeof(float)), 0) << isa;
  }
}

TEST(EngineWeightsTest, SyntheticWeightsCannotBeMapped) {
  EngineOptions options = Options();
  options.synthetic = SyntheticSpec{"smollm2-135m", "q8_0"};
  options.weights = WeightStorage::kMmap;
  const auto engine = Engine::Create(options);
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code(), StatusCode::kInvalidArgument);
}

TEST(EngineWeightsTest, MappedWeightsAnswerAsRepackedOnesDo) {
  EngineOptions options = Options();
  const Answer expected = Alone(options, Greedy(3, 20, 12));
  options.weights = WeightStorage::kMmap;
  const Answer found = Alone(options, Greedy(3, 20, 12));
  EXPECT_EQ(found.finish, FinishReason::kLength);
  EXPECT_EQ(found.tokens, expected.tokens);
}

TEST(EngineWeightsTest, AMappedFileThatChangesEndsRequestsWithAnErrorAndAcceptsNoMore) {
  const TempFile file(TinyModelFile().Build());
  EngineOptions options = Options();
  options.model_path = file.path();
  options.weights = WeightStorage::kMmap;
  const auto engine = MakeEngine(options);
  const auto stream = MustSubmit(*engine, Greedy(1, 10, 50));
  Answer answer;
  for (int i = 0; i < 3; ++i) engine->Step();
  Read(*stream, &answer);
  EXPECT_FALSE(answer.tokens.empty());
  EXPECT_FALSE(engine->failing());
  file.Truncate(4096);
  while (engine->Step()) Read(*stream, &answer);
  EXPECT_EQ(answer.finish, FinishReason::kError);
  EXPECT_EQ(answer.error.code(), StatusCode::kInternal);
  EXPECT_EQ(answer.error.reason(), "weights_changed");
  EXPECT_TRUE(engine->draining());
  EXPECT_TRUE(engine->failing());
  const auto refused = engine->Reserve(10);
  EXPECT_FALSE(refused.ok());
  EXPECT_EQ(engine->CheckInvariants(), "");
}

}  // namespace
}  // namespace weir
