// LoRA adapters against PEFT: tests/golden/adapters, written by tools/update_golden_adapters.py.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/lora/lora_adapter.h"
#include "engine/safetensors/model_directory.h"
#include "tests/support/golden_architectures.h"
#include "tests/support/requantized.h"
#include "tests/support/temp_file.h"

namespace weir {
namespace {

LoraAdapter Golden(const std::string& name) {
  auto adapter = LoraAdapter::Open(GoldenAdapter(name));
  EXPECT_TRUE(adapter.has_value()) << adapter.error().message();
  return adapter.has_value() ? *std::move(adapter) : LoraAdapter();
}

std::vector<int32_t> Shifted(std::vector<int32_t> tokens, int by, int vocab_size) {
  for (int32_t& token : tokens) token = 3 + (token + by) % (vocab_size - 3);
  return tokens;
}

class LoraTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    plain_ = Golden(GetParam() + ".plain");
    rslora_ = Golden(GetParam() + ".rslora");
    gguf_ = Golden(GetParam() + ".plain.gguf");
  }
  std::vector<std::unique_ptr<ModelFile>> BothForms() const {
    std::vector<std::unique_ptr<ModelFile>> forms;
    for (const char* end : {"", ".gguf"}) {
      auto file = OpenModel(GoldenArchitecture(GetParam() + end), LoadQuantization::kNone);
      EXPECT_TRUE(file.has_value()) << file.error().message();
      forms.push_back(*std::move(file));
    }
    return forms;
  }
  LoraAdapter plain_, rslora_, gguf_;
};

// Four pairs of a file of the model and one of the adapter: rows of q and k are in either order in either.
TEST_P(LoraTest, LogitsAreThoseOfPeftHoweverModelAndAdapterAreStored) {
  const ExpectedLogits plain = ReadExpectedLogits(GetParam() + ".plain", true);
  const ExpectedLogits rslora = ReadExpectedLogits(GetParam() + ".rslora", true);
  for (const auto& file : BothForms())
    for (const std::string_view path : KnownKernelPaths()) {
      if (!CpuSupports(path)) continue;
      ArchitectureRunner runner(
          *file, {path, 2, KvDtype::kF16, WeightStorage::kRepack, {&plain_, &rslora_, &gguf_}});
      for (const TokenOrigin origin : {TokenOrigin::kPrompt, TokenOrigin::kGenerated}) {
        const auto whole = runner.Run(plain.tokens, {64}, origin, 1);
        EXPECT_LT(LargestDistance(whole, plain.logits, plain.vocab_size), 1e-3) << path;
        EXPECT_TRUE(SameBits(runner.Run(plain.tokens, {5, 1, 7}, origin, 1), whole)) << path;
        EXPECT_TRUE(SameBits(runner.Run(plain.tokens, {64}, origin, 3), whole)) << path;
        EXPECT_LT(
            LargestDistance(runner.Run(rslora.tokens, {64}, origin, 2), rslora.logits, rslora.vocab_size),
            1e-3)
            << path;
      }
    }
}

TEST_P(LoraTest, ASequenceHasTheSameBitsInAnyCompany) {
  const ExpectedLogits expected = ReadExpectedLogits(GetParam() + ".plain", true);
  const int vocab_size = expected.vocab_size;
  const std::vector<Lane> lanes = {
      {Shifted(expected.tokens, 1, vocab_size), 1, TokenOrigin::kPrompt},
      {Shifted(expected.tokens, 2, vocab_size), 0, TokenOrigin::kPrompt},
      {Shifted(expected.tokens, 3, vocab_size), 2, TokenOrigin::kGenerated},
      {Shifted(expected.tokens, 4, vocab_size), 0, TokenOrigin::kGenerated},
  };
  std::unique_ptr<ModelFile> file = std::move(BothForms()[1]);
  const TempFile quantized(Requantized(*file, DType::kQ8_0).Build());
  const auto of_bytes = ModelFile::Open(quantized.path());
  ASSERT_TRUE(of_bytes.has_value()) << of_bytes.error().message();
  for (const ModelFile* model : {file.get(), of_bytes->get()})
    for (const std::string_view path : KnownKernelPaths()) {
      if (!CpuSupports(path)) continue;
      ArchitectureRunner with(*model, {path, 2, KvDtype::kF16, WeightStorage::kRepack, {&plain_, &rslora_}});
      ArchitectureRunner without(*model, {path, 1});
      for (uint64_t seed = 1; seed <= 3; ++seed) {
        const auto together = with.RunTogether(lanes, seed);
        for (size_t i = 0; i < lanes.size(); ++i) {
          const Lane& lane = lanes[i];
          EXPECT_TRUE(SameBits(together[i], with.Run(lane.tokens, {64}, lane.origin, lane.adapter)))
              << path << " lane " << i;
          if (lane.adapter == 0) {
            EXPECT_TRUE(SameBits(together[i], without.Run(lane.tokens, {64}, lane.origin))) << path;
          }
        }
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Golden, LoraTest,
                         testing::Values("llama", "smollm3", "qwen2", "qwen3", "gemma2", "gemma3", "phi3",
                                         "qwen3moe"),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace weir
