// Layers with experts, in company: tests/golden/architectures' qwen3moe in batches of several sequences.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "engine/kernels/kernels.h"
#include "engine/tensor/dequantize.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/golden_architectures.h"
#include "tests/support/quantize.h"
#include "tests/support/requantized.h"
#include "tests/support/temp_file.h"

namespace weir {
namespace {

constexpr int kBlocks = 64;
constexpr int kSequences = 9;

std::string WithMatricesOf(DType dtype) {
  const auto file = ModelFile::Open(GoldenArchitecture("qwen3moe.gguf"));
  EXPECT_TRUE(file.has_value());
  GgufWriter out;
  for (const MetadataEntry& entry : (*file)->metadata()) {
    if (entry.type == MetadataType::kString)
      out.SetString(entry.key, entry.strings.front());
    else
      out.SetRaw(entry.key, static_cast<uint32_t>(entry.type),
                 std::string(reinterpret_cast<const char*>(entry.data.data()), entry.data.size()));
  }
  for (const TensorInfo& tensor : (*file)->tensors()) {
    const bool is_matrix = tensor.dims.size() > 1 && tensor.name.find("ffn_gate_inp") == std::string::npos;
    const DType to = is_matrix ? dtype : DType::kF32;
    out.AddTensor(tensor.name, tensor.dims, to,
                  Quantize(to, DequantizeAll(tensor.dtype, tensor.data, tensor.num_elements())));
  }
  return out.Build();
}

// Prompts of very different lengths and single generated tokens, each row beside others of the same experts.
class Company {
 public:
  Company(const ModelFile& file, std::string_view path) : pool_(kBlocks) {
    ModelOptions options;
    options.isa = path;
    options.num_threads = 2;
    options.max_rows = 256;
    options.max_logit_rows = 256;
    model_ = *Model::Load(file, options);
    kv_ = *KvStorage::Create(model_->config().kv_shape(), kBlocks);
    Rng rng(3);
    for (int i = 0; i < kSequences; ++i) {
      const int length = i % 3 == 2 ? 1 : 1 + static_cast<int>(rng.NextDouble() * 60);
      for (int t = 0; t < length; ++t) sequences_[i].push_back(static_cast<int32_t>(rng.NextDouble() * 128));
    }
  }

  // Logits of sequences [first, last), computed in one step.
  std::vector<std::vector<float>> Run(int first, int last) {
    Batch batch;
    std::vector<BlockTable> tables(kSequences);
    for (const TokenOrigin origin : {TokenOrigin::kPrompt, TokenOrigin::kGenerated})
      for (int i = first; i < last; ++i) {
        const auto length = static_cast<int>(sequences_[i].size());
        if ((origin == TokenOrigin::kGenerated) != (length == 1)) continue;
        BlockTable& table = tables[static_cast<size_t>(i)];
        table.Cover(pool_, length);
        batch.AddSequence(origin, sequences_[i].data(), 0, length, table, true, true);
      }
    std::vector<float> logits(static_cast<size_t>(batch.num_rows()) * 128);
    model_->Forward(batch, kv_, MatrixView<float>(logits.data(), batch.num_rows(), 128), {});
    std::vector<std::vector<float>> out(kSequences);
    size_t at = 0;
    for (const bool generated : {false, true})
      for (int i = first; i < last; ++i) {
        if ((sequences_[i].size() == 1) != generated) continue;
        const size_t count = sequences_[i].size() * 128;
        out[static_cast<size_t>(i)].assign(logits.begin() + static_cast<std::ptrdiff_t>(at),
                                           logits.begin() + static_cast<std::ptrdiff_t>(at + count));
        at += count;
      }
    for (BlockTable& table : tables) table.Free(pool_);
    return out;
  }

 private:
  std::unique_ptr<Model> model_;
  BlockPool pool_;
  KvStorage kv_;
  std::vector<int32_t> sequences_[kSequences];
};

TEST(ExpertsTest, ASequencesBitsDoNotDependOnWhoSharesItsExperts) {
  for (const DType dtype : {DType::kF16, DType::kQ8_0}) {
    const TempFile model(WithMatricesOf(dtype));
    const auto file = ModelFile::Open(model.path());
    ASSERT_TRUE(file.has_value()) << file.error().message();
    for (const std::string_view path : KnownKernelPaths()) {
      if (!CpuSupports(path)) continue;
      Company company(**file, path);
      const auto together = company.Run(0, kSequences);
      for (int i = 0; i < kSequences; ++i) {
        const auto alone = company.Run(i, i + 1);
        ASSERT_TRUE(SameBits(alone[static_cast<size_t>(i)], together[static_cast<size_t>(i)]))
            << path << " " << Traits(dtype).name << " sequence " << i;
      }
    }
  }
}

TEST(ExpertsTest, ATokenCostsTheExpertsItChoosesAndMemoryHoldsAll) {
  const auto file = ModelFile::Open(GoldenArchitecture("qwen3moe.gguf"));
  ASSERT_TRUE(file.has_value());
  const ModelCost cost = ArchitectureRunner(**file, {"", 1}).model().cost();
  const int64_t attention = 32 * 64 * 2 + 32 * 32 * 2, expert = 3 * 32 * 32, router = 8 * 32, head = 32 * 128;
  EXPECT_EQ(cost.macs_per_token, 2 * (attention + router + 3 * expert) + head);
  EXPECT_EQ(
      cost.parameters,
      2 * (attention + router + 8 * expert + 2 * 32 + 2 * 16) + 2 * head + 32);  // the embedding is apart
  EXPECT_EQ(cost.stored_bytes - cost.weight_bytes, 2 * 5 * expert * 2);
}

TEST(ExpertsTest, ATokenCostsOneFeedForwardInLayersWithoutExperts) {
  const auto file = ModelFile::Open(GoldenArchitecture("qwen3moe_mixed.gguf"));
  ASSERT_TRUE(file.has_value());
  const ModelCost cost = ArchitectureRunner(**file, {"", 1}).model().cost();
  const int64_t attention = 32 * 64 * 2 + 32 * 32 * 2, expert = 3 * 32 * 32, plain = 3 * 32 * 64,
                router = 4 * 32;
  EXPECT_EQ(cost.macs_per_token, 4 * attention + 3 * plain + router + 2 * expert + 32 * 128);
  EXPECT_EQ(cost.stored_bytes - cost.weight_bytes, 2 * expert * 2);
}

TEST(ExpertsTest, ALayerHasExpertsOrOneFeedForwardButNotBoth) {
  const auto file = ModelFile::Open(GoldenArchitecture("qwen3moe_mixed.gguf"));
  ASSERT_TRUE(file.has_value());
  for (const auto& [from, to] : {std::pair("blk.0.ffn_gate.weight", "blk.1.ffn_gate.weight"),
                                 std::pair("blk.1.ffn_gate_inp.weight", "blk.0.ffn_gate_inp.weight"),
                                 std::pair("blk.1.ffn_up_exps.weight", "blk.0.ffn_up_exps.weight"),
                                 std::pair("blk.1.ffn_up_exps.weight", "blk.6.ffn_up_exps.weight")}) {
    GgufWriter writer = Requantized(**file, DType::kF16);
    const TensorInfo* tensor = (*file)->FindTensor(from);
    ASSERT_NE(tensor, nullptr);
    writer.AddTensor(to, tensor->dims, tensor->dtype,
                     std::string(reinterpret_cast<const char*>(tensor->data.data()), tensor->data.size()));
    const TempFile damaged(writer.Build());
    const auto opened = ModelFile::Open(damaged.path());
    ASSERT_TRUE(opened.has_value()) << opened.error().message();
    const auto config = ReadModelConfig(**opened);
    ASSERT_FALSE(config.has_value()) << to;
    EXPECT_EQ(config.error().code(), StatusCode::kDataLoss);
    const std::string layer = std::string(to).substr(0, 6);
    EXPECT_NE(config.error().message().find(layer), std::string::npos) << config.error().message();
  }
}

TEST(ExpertsTest, ImpossibleNumbersOfExpertsAreRefusedByKey) {
  struct Case {
    const char* key;
    uint32_t value;
  };
  for (const Case& c : {Case{"qwen3moe.expert_count", 0}, Case{"qwen3moe.expert_count", 7},
                        Case{"qwen3moe.expert_count", 1u << 30}, Case{"qwen3moe.expert_used_count", 0},
                        Case{"qwen3moe.expert_used_count", 9}, Case{"qwen3moe.expert_feed_forward_length", 0},
                        Case{"qwen3moe.expert_feed_forward_length", 31}}) {
    const auto file = ModelFile::Open(GoldenArchitecture("qwen3moe.gguf"));
    ASSERT_TRUE(file.has_value());
    GgufWriter writer;
    for (const MetadataEntry& entry : (*file)->metadata()) {
      if (entry.type == MetadataType::kString)
        writer.SetString(entry.key, entry.strings.front());
      else
        writer.SetRaw(entry.key, static_cast<uint32_t>(entry.type),
                      std::string(reinterpret_cast<const char*>(entry.data.data()), entry.data.size()));
    }
    for (const TensorInfo& tensor : (*file)->tensors())
      writer.AddTensor(tensor.name, tensor.dims, tensor.dtype,
                       std::string(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size()));
    writer.SetRaw(c.key, 4, std::string(reinterpret_cast<const char*>(&c.value), 4));
    const TempFile damaged(writer.Build());
    const auto opened = ModelFile::Open(damaged.path());
    ASSERT_TRUE(opened.has_value()) << opened.error().message();
    const auto config = ReadModelConfig(**opened);
    ASSERT_FALSE(config.has_value()) << c.key << " " << c.value;
    EXPECT_EQ(config.error().code(), StatusCode::kDataLoss);
    EXPECT_NE(config.error().message().find("expert"), std::string::npos) << config.error().message();
  }
}

}  // namespace
}  // namespace weir
