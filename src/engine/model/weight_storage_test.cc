// Weights in memory and weights left in their file: the same results.
#include <gtest/gtest.h>

#include <cstring>

#include "engine/kernels/kernels.h"
#include "engine/model/model.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

constexpr int kNumBlocks = 16;

struct Loaded {
  std::unique_ptr<ModelFile> file;  // outlives the model
  std::unique_ptr<Model> model;
};

Loaded Load(const std::string& path, WeightStorage storage, std::string_view isa) {
  Loaded out;
  auto file = ModelFile::Open(path);
  EXPECT_TRUE(file.has_value());
  out.file = std::move(*file);
  ModelOptions options;
  options.num_threads = 2;
  options.max_rows = 64;
  options.isa = isa;
  options.storage = storage;
  auto model = Model::Load(*out.file, options);
  EXPECT_TRUE(model.has_value()) << model.status().message();
  out.model = std::move(*model);
  return out;
}

std::vector<float> Logits(Model& model, int num_tokens) {
  auto kv = KvStorage::Create(model.config().kv_shape(), kNumBlocks);
  EXPECT_TRUE(kv.has_value());
  BlockPool pool(kNumBlocks);
  BlockTable table;
  table.Cover(pool, num_tokens);
  std::vector<int32_t> tokens;
  for (int i = 0; i < num_tokens; ++i) tokens.push_back((i * 37 + 5) % kTinyVocabSize);
  Batch batch;
  batch.AddSequence(TokenOrigin::kPrompt, tokens.data(), 0, num_tokens, table, true, true);
  std::vector<float> logits(batch.logit_rows.size() * kTinyVocabSize);
  model.Forward(
      batch, *kv,
      MatrixView<float>(logits.data(), static_cast<int64_t>(batch.logit_rows.size()), kTinyVocabSize), {});
  table.Free(pool);
  return logits;
}

TEST(WeightStorageTest, MappedWeightsGiveTheBitsOfRepackedOnes) {
  for (const std::string_view isa : KnownKernelPaths()) {
    if (!CpuSupports(isa)) continue;
    for (const DType dtype : {DType::kQ4_1, DType::kQ8_0, DType::kQ5_0, DType::kBF16, DType::kF32}) {
      for (const bool tied : {true, false}) {
        const TinyModel tiny({.weight_type = dtype, .tied_embeddings = tied});
        const Loaded repacked = Load(tiny.path(), WeightStorage::kRepack, isa);
        const Loaded mapped = Load(tiny.path(), WeightStorage::kMmap, isa);
        for (const int num_tokens : {1, 19}) {
          const auto expected = Logits(*repacked.model, num_tokens);
          const auto found = Logits(*mapped.model, num_tokens);
          ASSERT_EQ(std::memcmp(expected.data(), found.data(), expected.size() * sizeof(float)), 0)
              << isa << " " << Traits(dtype).name << " " << num_tokens;
        }
      }
    }
  }
}

TEST(WeightStorageTest, FactsSayWhereTheWeightsLie) {
  const TinyModel tiny;
  const Loaded repacked = Load(tiny.path(), WeightStorage::kRepack, "");
  EXPECT_GT(repacked.model->weight_facts().packed_bytes, 0);
  EXPECT_LE(repacked.model->weight_facts().huge_bytes, repacked.model->weight_facts().packed_bytes);
  EXPECT_EQ(repacked.model->weight_facts().mapped_bytes, 0);
  EXPECT_GT(repacked.model->weight_facts().load_s, 0);
  const Loaded mapped = Load(tiny.path(), WeightStorage::kMmap, "");
  EXPECT_EQ(mapped.model->weight_facts().packed_bytes, 0);
  EXPECT_EQ(mapped.model->weight_facts().huge_bytes, 0);
  // Everything but the norms, which are copied either way.
  int64_t matrices = 0;
  for (const TensorInfo& tensor : mapped.file->tensors())
    if (tensor.dims.size() == 2) matrices += static_cast<int64_t>(tensor.num_bytes());
  EXPECT_EQ(mapped.model->weight_facts().mapped_bytes, matrices);
  EXPECT_LT(mapped.model->memory_bytes(), repacked.model->memory_bytes());
}

TEST(WeightStorageTest, DamageIsFoundBeforeAnythingIsComputed) {
  GgufWriter writer = TinyModelFile();
  writer.FindTensor("blk.1.ffn_down.weight")->data.replace(20, 2, 2, '\xff');
  const TempFile damaged(writer.Build());
  const auto file = ModelFile::Open(damaged.path());
  ASSERT_TRUE(file.has_value());
  ModelOptions options;
  options.storage = WeightStorage::kMmap;
  const auto model = Model::Load(**file, options);
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code(), StatusCode::kDataLoss);
  EXPECT_NE(model.error().message().find("blk.1.ffn_down.weight: row 0"), std::string::npos)
      << model.error().message();
}

// Two tensors are damaged; whichever thread comes first, the one that lies first in the file is named.
TEST(WeightStorageTest, OfSeveralDamagedTensorsTheFirstInTheFileIsReported) {
  GgufWriter writer = TinyModelFile();
  writer.FindTensor("blk.0.attn_q.weight")->data.replace(0, 2, 2, '\xff');
  writer.FindTensor("blk.1.ffn_down.weight")->data.replace(0, 2, 2, '\xff');
  const TempFile damaged(writer.Build());
  for (int i = 0; i < 20; ++i) {
    const auto file = ModelFile::Open(damaged.path());
    ASSERT_TRUE(file.has_value());
    ModelOptions options;
    options.num_threads = 4;
    const auto model = Model::Load(**file, options);
    ASSERT_FALSE(model.has_value());
    ASSERT_NE(model.error().message().find("blk.0.attn_q.weight"), std::string::npos);
  }
}

}  // namespace
}  // namespace weir
