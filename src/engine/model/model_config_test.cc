#include "engine/model/model_config.h"

#include <gtest/gtest.h>

#include "tests/support/temp_file.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

Result<ModelConfig> ReadConfig(const GgufWriter& writer) {
  const TempFile file(writer.Build());
  auto model = ModelFile::Open(file.path());
  if (!model.has_value()) return std::move(model).error();
  return ReadModelConfig(**model);
}

void ExpectRefused(const GgufWriter& writer, StatusCode code, const std::vector<std::string>& parts) {
  const auto config = ReadConfig(writer);
  ASSERT_FALSE(config.has_value()) << parts.front();
  EXPECT_EQ(config.error().code(), code) << config.error().message();
  for (const std::string& part : parts)
    EXPECT_NE(config.error().message().find(part), std::string::npos)
        << part << " in: " << config.error().message();
}

TEST(ModelConfigTest, ReadsEveryNumberOfATinyModel) {
  const auto config = ReadConfig(TinyModelFile());
  ASSERT_TRUE(config.has_value()) << config.error().message();
  EXPECT_EQ(config->architecture, "llama");
  EXPECT_EQ(config->num_layers, 2);
  EXPECT_EQ(config->hidden_size, 64);
  EXPECT_EQ(config->num_heads, 4);
  EXPECT_EQ(config->num_kv_heads, 2);
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->ffn_size, 128);
  EXPECT_EQ(config->vocab_size, kTinyVocabSize);
  EXPECT_EQ(config->max_context, 2048);
  EXPECT_EQ(config->rope_dims, 16);
  EXPECT_TRUE(config->tied_embeddings);
}

TEST(ModelConfigTest, OwnOutputMatrixIsNotTied) {
  TinyModelOptions options;
  options.tied_embeddings = false;
  const auto config = ReadConfig(TinyModelFile(options));
  ASSERT_TRUE(config.has_value()) << config.error().message();
  EXPECT_FALSE(config->tied_embeddings);
}

TEST(ModelConfigTest, RefusesContradictingShapes) {
  struct Case {
    const char* key;
    uint32_t value;
    std::vector<std::string> parts;
  };
  const Case cases[] = {
      {"llama.attention.head_count", 0, {"head_count", "found 0"}},
      {"llama.attention.head_count", 5, {"multiple", "5"}},
      {"llama.attention.head_count_kv", 0, {"head_count_kv", "found 0"}},
      {"llama.attention.head_count_kv", 3, {"head_count 4", "head_count_kv 3"}},
      {"llama.embedding_length", 128, {"128", "found 64"}},
      {"llama.feed_forward_length", 96, {"96", "found 64 x 128"}},
      {"llama.block_count", 3, {"blk.2", "missing"}},
      {"llama.block_count", 1, {"blk.1", "block_count is 1"}},
      {"llama.block_count", 4000000000u, {"block_count", "4000000000"}},
      {"llama.vocab_size", 513, {"513", "512"}},
      {"llama.context_length", 0, {"context_length", "found 0"}},
      {"llama.rope.dimension_count", 15, {"rope.dimension_count 15", "16"}},
      {"llama.rope.dimension_count", 18, {"rope.dimension_count 18", "16"}},
  };
  for (const Case& c : cases) {
    GgufWriter file = TinyModelFile();
    file.SetUint32(c.key, c.value);
    SCOPED_TRACE(c.key);
    ExpectRefused(file, StatusCode::kDataLoss, c.parts);
  }
}

TEST(ModelConfigTest, RefusesNumbersThatAreNotFinite) {
  GgufWriter file = TinyModelFile();
  file.SetFloat32("llama.rope.freq_base", 0.0f);
  ExpectRefused(file, StatusCode::kDataLoss, {"rope.freq_base"});
  file = TinyModelFile();
  file.SetFloat32("llama.attention.layer_norm_rms_epsilon", -1.0f);
  ExpectRefused(file, StatusCode::kDataLoss, {"layer_norm_rms_epsilon"});
}

TEST(ModelConfigTest, RefusesAMissingTensorByName) {
  GgufWriter file = TinyModelFile();
  std::erase_if(file.tensors, [](const GgufTensor& tensor) { return tensor.name == "blk.1.ffn_up.weight"; });
  ExpectRefused(file, StatusCode::kDataLoss, {"blk.1.ffn_up.weight", "missing"});
}

TEST(ModelConfigTest, RefusesWhatWouldBeLeftOut) {
  GgufWriter file = TinyModelFile();
  file.AddTensor("blk.0.attn_output.bias", {64}, DType::kF32, std::string(256, '\0'));
  ExpectRefused(file, StatusCode::kUnimplemented, {"blk.0.attn_output.bias"});
  file = TinyModelFile();
  file.SetString("llama.rope.scaling.type", "dynamic");
  ExpectRefused(file, StatusCode::kUnimplemented, {"rope.scaling.type", "dynamic"});
  file = TinyModelFile();
  file.SetString("general.architecture", "mamba");
  ExpectRefused(file, StatusCode::kUnimplemented, {"mamba"});
}

}  // namespace
}  // namespace weir
