// Every architecture against transformers: tests/golden/architectures, written by tools/update_golden_architectures.py.
#include "engine/model/architecture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/rng.h"
#include "engine/kernels/kernels.h"
#include "engine/model/model.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/golden_architectures.h"
#include "tests/support/requantized.h"
#include "tests/support/temp_file.h"

namespace weir {
namespace {

std::vector<int> RandomChunks(uint64_t seed) {
  Rng rng(seed);
  std::vector<int> chunks;
  for (int i = 0; i < 64; ++i) chunks.push_back(static_cast<int>(1 + rng.NextDouble() * 20));
  return chunks;
}

class ArchitectureTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    expected_ = ReadExpectedLogits(GetParam());
    auto file = ModelFile::Open(GoldenArchitecture(GetParam() + ".gguf"));
    ASSERT_TRUE(file.has_value()) << file.error().message();
    file_ = *std::move(file);
  }
  ExpectedLogits expected_;
  std::unique_ptr<ModelFile> file_;
};

// Weights are halves in both; what remains is the cache's halves and the order of sums.
TEST_P(ArchitectureTest, LogitsAreThoseOfTransformersInWhateverChunks) {
  for (const std::string_view path : KnownKernelPaths()) {
    if (!CpuSupports(path)) continue;
    ArchitectureRunner runner(*file_, {path, 2});
    const auto whole = runner.Run(expected_.tokens, {64});
    EXPECT_LT(LargestDistance(whole, expected_.logits, expected_.vocab_size), 1e-3) << path;
    for (uint64_t seed = 1; seed <= 4; ++seed)
      ASSERT_TRUE(SameBits(runner.Run(expected_.tokens, RandomChunks(seed)), whole)) << path << " " << seed;
    ASSERT_TRUE(SameBits(runner.Run(expected_.tokens, {20, 1}), whole)) << path;
    ASSERT_TRUE(SameBits(
        ArchitectureRunner(*file_, {path, 1}).Run(expected_.tokens, {1}, TokenOrigin::kGenerated), whole))
        << path;
  }
}

// Eight bits move these random models by a few percent; a part in a wrong place moves them by about 1.
TEST_P(ArchitectureTest, QuantizedWeightsAndCachesComputeTheSameModel) {
  const TempFile quantized(Requantized(*file_, DType::kQ8_0).Build());
  const auto file = ModelFile::Open(quantized.path());
  ASSERT_TRUE(file.has_value()) << file.error().message();
  for (const std::string_view path : KnownKernelPaths()) {
    if (!CpuSupports(path)) continue;
    for (const KvDtype kv_dtype : {KvDtype::kF16, KvDtype::kInt8}) {
      ArchitectureRunner runner(**file, {path, 2, kv_dtype});
      const auto prompt = runner.Run(expected_.tokens, {64});
      EXPECT_LT(LargestDistance(prompt, expected_.logits, expected_.vocab_size), 0.1) << path;
      ASSERT_TRUE(SameBits(runner.Run(expected_.tokens, RandomChunks(9)), prompt)) << path;
      const auto generated = runner.Run(expected_.tokens, {64}, TokenOrigin::kGenerated);
      EXPECT_LT(LargestDistance(generated, expected_.logits, expected_.vocab_size), 0.1) << path;
      ASSERT_TRUE(SameBits(runner.Run(expected_.tokens, {1}, TokenOrigin::kGenerated), generated)) << path;
      ArchitectureRunner mapped(**file, {path, 1, kv_dtype, WeightStorage::kMmap});
      ASSERT_TRUE(SameBits(mapped.Run(expected_.tokens, {64}), prompt)) << path;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ArchitectureTest, testing::ValuesIn(GoldenArchitectures()),
                         [](const auto& name) { return name.param; });

TEST(ArchitectureRegistryTest, NamesAreFoundOnceAndUnknownOnesAreRefusedWithTheList) {
  std::set<std::string_view> names;
  for (const Architecture& architecture : KnownArchitectures()) {
    EXPECT_TRUE(names.insert(architecture.name).second) << architecture.name;
    EXPECT_EQ(FindArchitecture(architecture.name), &architecture);
  }
  EXPECT_EQ(FindArchitecture("mamba"), nullptr);
  GgufWriter writer;
  writer.SetString("general.architecture", "mamba");
  const TempFile file(writer.Build());
  const auto opened = ModelFile::Open(file.path());
  ASSERT_TRUE(opened.has_value()) << opened.error().message();
  const auto config = ReadModelConfig(**opened);
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code(), StatusCode::kUnimplemented);
  for (const char* part : {"mamba", "gemma3", "qwen2"})
    EXPECT_NE(config.error().message().find(part), std::string::npos) << config.error().message();
}

TEST(ArchitectureRegistryTest, ATensorOfAnotherArchitectureIsRefusedByName) {
  const auto file = ModelFile::Open(GoldenArchitecture("qwen3.gguf"));
  ASSERT_TRUE(file.has_value());
  GgufWriter writer = Requantized(**file, DType::kF16);
  writer.AddTensor("blk.0.attn_sinks.weight", {4}, DType::kF32, std::string(16, '\0'));
  const TempFile damaged(writer.Build());
  const auto opened = ModelFile::Open(damaged.path());
  ASSERT_TRUE(opened.has_value());
  const auto config = ReadModelConfig(**opened);
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code(), StatusCode::kUnimplemented);
  EXPECT_NE(config.error().message().find("attn_sinks"), std::string::npos) << config.error().message();
}

// A key that says something impossible is refused with its name, never divided by or looped over.
TEST(ArchitectureRegistryTest, ImpossibleNumbersAreRefusedByKey) {
  struct Case {
    const char* model;
    const char* key;
    float value;
    bool integer;
  };
  const Case cases[] = {
      {"llama_linear", "llama.rope.scaling.factor", 0.0f, false},
      {"llama_yarn", "llama.rope.scaling.original_context_length", 0.0f, true},
      {"llama_yarn", "llama.rope.scaling.factor", -1.0f, false},
      {"llama", "llama.rope.freq_base", NAN, false},
      {"gemma3", "gemma3.rope.freq_base_swa", 0.0f, false},
      {"gemma3", "gemma3.attention.sliding_window_pattern", 0.0f, true},
      {"gemma2", "gemma2.attn_logit_softcapping", -1.0f, false},
      {"gemma2", "gemma2.final_logit_softcapping", NAN, false},
      {"phi3_longrope", "phi3.rope.scaling.original_context_length", 0.0f, true},
      {"smollm3", "smollm3.attention.no_rope_layer_interval", 0.0f, true},
  };
  for (const Case& c : cases) {
    const auto file = ModelFile::Open(GoldenArchitecture(std::string(c.model) + ".gguf"));
    ASSERT_TRUE(file.has_value());
    GgufWriter writer = Requantized(**file, DType::kF16);
    if (c.integer)
      writer.SetUint32(c.key, static_cast<uint32_t>(c.value));
    else
      writer.SetFloat32(c.key, c.value);
    const TempFile damaged(writer.Build());
    const auto opened = ModelFile::Open(damaged.path());
    ASSERT_TRUE(opened.has_value());
    const auto config = ReadModelConfig(**opened);
    ASSERT_FALSE(config.has_value()) << c.key;
    EXPECT_EQ(config.error().code(), StatusCode::kDataLoss);
    EXPECT_NE(config.error().message().find(c.key), std::string::npos) << config.error().message();
  }
}

}  // namespace
}  // namespace weir
