// Hugging Face directories: the same models as tests/golden/architectures' GGUF files, written by transformers.
#include "engine/safetensors/model_directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "base/file.h"
#include "base/json.h"
#include "engine/kernels/kernels.h"
#include "engine/safetensors/safetensors_file.h"
#include "tests/support/golden_architectures.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

// A copy of a golden directory, for one thing to be wrong in.
class DirectoryCopy {
 public:
  explicit DirectoryCopy(const std::string& name)
      : path_(fs::temp_directory_path() /
              ("weir-directory-" + std::to_string(getpid()) + "-" + std::to_string(next_++))) {
    fs::copy(GoldenArchitecture(name), path_);
  }
  ~DirectoryCopy() { fs::remove_all(path_); }
  std::string path() const { return path_.string(); }
  std::string In(const std::string& file) const { return (path_ / file).string(); }

  void ChangeConfig(const std::function<void(Json&)>& change) const {
    Json config = *ReadJsonFile(In("config.json"));
    change(config);
    EXPECT_TRUE(WriteFile(In("config.json"), DumpJson(config)).ok());
  }
  Status Open(LoadQuantization quantization = LoadQuantization::kNone) const {
    auto file = OpenModelDirectory(path(), quantization);
    if (!file.has_value()) return file.error();
    return ReadModelConfig(**file).status();
  }

 private:
  inline static int next_ = 0;
  fs::path path_;
};

void ExpectRefused(const Status& status, StatusCode code, const std::vector<std::string>& parts) {
  ASSERT_EQ(status.code(), code) << status.message() << " " << parts.front();
  for (const std::string& part : parts)
    EXPECT_NE(status.message().find(part), std::string::npos) << part << " in: " << status.message();
}

class ModelDirectoryTest : public testing::TestWithParam<std::string> {};

TEST_P(ModelDirectoryTest, LogitsAreThoseOfTransformersAndOfTheGgufFile) {
  const ExpectedLogits expected = ReadExpectedLogits(GetParam());
  const auto directory = OpenModelDirectory(GoldenArchitecture(GetParam()));
  ASSERT_TRUE(directory.has_value()) << directory.error().message();
  for (const std::string_view path : KnownKernelPaths()) {
    if (!CpuSupports(path)) continue;
    ArchitectureRunner runner(**directory, {path, 2});
    const auto whole = runner.Run(expected.tokens, {64});
    EXPECT_LT(LargestDistance(whole, expected.logits, expected.vocab_size), 1e-3) << path;
    ASSERT_TRUE(SameBits(runner.Run(expected.tokens, {7, 30, 1, 1, 9}), whole)) << path;
  }
}

TEST_P(ModelDirectoryTest, QuantizedOnLoadItComputesTheSameModel) {
  const ExpectedLogits expected = ReadExpectedLogits(GetParam());
  struct Case {
    LoadQuantization quantization;
    double distance;
  };
  // Four bits in rows of 32 to 64 random numbers are coarse; a part in a wrong place would move them by about 1. Such rows are
  // too short for Q4_K.
  for (const Case& c : {Case{LoadQuantization::kQ8_0, 0.1}, Case{LoadQuantization::kQ4_0, 0.8},
                        Case{LoadQuantization::kQ4_K, 0.1}}) {
    const auto directory = OpenModelDirectory(GoldenArchitecture(GetParam()), c.quantization);
    ASSERT_TRUE(directory.has_value()) << directory.error().message();
    ArchitectureRunner runner(**directory, {"", 2});
    EXPECT_LT(LargestDistance(runner.Run(expected.tokens, {64}), expected.logits, expected.vocab_size),
              c.distance);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ModelDirectoryTest, testing::ValuesIn(GoldenArchitectures()),
                         [](const auto& name) { return name.param; });

TEST(ModelDirectory, CompressedCheckpointsAreRefusedByMethod) {
  for (const char* method : {"gptq", "awq", "fp8"}) {
    const DirectoryCopy copy("llama");
    copy.ChangeConfig([&](Json& config) { config["quantization_config"] = {{"quant_method", method}}; });
    ExpectRefused(copy.Open(), StatusCode::kUnimplemented, {method, "--quantization", "config.json"});
  }
}

TEST(ModelDirectory, UnknownArchitecturesAreRefusedWithTheList) {
  const DirectoryCopy copy("llama");
  copy.ChangeConfig([](Json& config) { config["architectures"] = {"MambaForCausalLM"}; });
  ExpectRefused(copy.Open(), StatusCode::kUnimplemented, {"MambaForCausalLM", "Qwen3ForCausalLM"});
}

TEST(ModelDirectory, SettingsThatWouldChangeTheResultAreRefused) {
  struct Case {
    const char* model;
    const char* key;
    Json value;
  };
  for (const Case& c :
       {Case{"llama", "hidden_act", "relu"}, Case{"llama", "mlp_bias", true},
        Case{"llama", "rope_parameters", {{"rope_type", "dynamic"}, {"factor", 2.0}}},
        Case{"qwen3", "layer_types", {"full_attention", "sliding_attention"}},
        Case{"smollm3", "no_rope_layers", {1, 0, 1, 0}},
        Case{"llama_yarn", "rope_parameters", {{"rope_type", "yarn"}, {"factor", 2.0}, {"mscale", 0.7}}}}) {
    const DirectoryCopy copy(c.model);
    copy.ChangeConfig([&](Json& config) { config[c.key] = c.value; });
    ExpectRefused(copy.Open(), StatusCode::kUnimplemented, {"config.json"});
  }
}

TEST(ModelDirectory, G10RefusesContradictingConfigurations) {
  struct Case {
    const char* key;
    Json value;
  };
  for (const Case& c :
       {Case{"num_attention_heads", 0}, Case{"num_attention_heads", 5}, Case{"num_key_value_heads", 3},
        Case{"num_key_value_heads", 0}, Case{"hidden_size", -1}, Case{"hidden_size", 64},
        Case{"vocab_size", 129}, Case{"num_hidden_layers", 1}, Case{"num_hidden_layers", 3},
        Case{"num_hidden_layers", 4000000000u}, Case{"intermediate_size", 65}, Case{"head_dim", 15},
        Case{"head_dim", "16"}, Case{"max_position_embeddings", 0}, Case{"rms_norm_eps", -1.0},
        Case{"rope_parameters", 7}, Case{"rope_parameters", {{"rope_theta", 0.0}}},
        Case{"architectures", Json::array()}, Case{"tie_word_embeddings", 1}}) {
    const DirectoryCopy copy("llama");
    copy.ChangeConfig([&](Json& config) { config[c.key] = c.value; });
    SCOPED_TRACE(c.key);
    EXPECT_EQ(copy.Open().code(), StatusCode::kDataLoss) << copy.Open().message();
  }
}

TEST(ModelDirectory, ExpertsThatDoNotMatchTheConfigurationAreRefused) {
  struct Case {
    const char* key;
    Json value;
    StatusCode code;
  };
  for (const Case& c : {Case{"num_local_experts", 9, StatusCode::kDataLoss},
                        Case{"num_local_experts", 7, StatusCode::kDataLoss},
                        Case{"num_local_experts", 0, StatusCode::kDataLoss},
                        Case{"num_local_experts", 5000, StatusCode::kDataLoss},
                        Case{"num_local_experts", nullptr, StatusCode::kDataLoss},
                        Case{"num_experts_per_tok", 9, StatusCode::kDataLoss},
                        Case{"moe_intermediate_size", 64, StatusCode::kDataLoss},
                        Case{"mlp_only_layers", {1}, StatusCode::kDataLoss},
                        Case{"decoder_sparse_step", 2, StatusCode::kDataLoss}}) {
    const DirectoryCopy copy("qwen3moe");
    copy.ChangeConfig([&](Json& config) { config[c.key] = c.value; });
    ExpectRefused(copy.Open(), c.code, {"expert"});
  }
  const DirectoryCopy old("qwen3moe");
  old.ChangeConfig([&](Json& config) {
    config["num_experts"] = config["num_local_experts"];
    config.erase("num_local_experts");
  });
  EXPECT_TRUE(old.Open().ok()) << old.Open().message();
}

TEST(ModelDirectory, LayersWithExpertsAreThoseThatTheConfigurationNames) {
  struct Case {
    const char* key;
    Json value;
    std::string part;
  };
  for (const Case& c :
       {Case{"decoder_sparse_step", 1, "layers.0.mlp.gate.weight"},
        Case{"decoder_sparse_step", 0, "decoder_sparse_step"},
        Case{"decoder_sparse_step", 7, "layers.1.mlp.gate.weight"},
        Case{"decoder_sparse_step", "2", "decoder_sparse_step"},
        Case{"mlp_only_layers", Json::array(), "layers.3.mlp.gate.weight"},
        Case{"mlp_only_layers", nullptr, "layers.3.mlp.gate.weight"},
        Case{"mlp_only_layers", {1, 3}, "layers.1.mlp.gate.weight"},
        Case{"mlp_only_layers", {3, 6}, "mlp_only_layers"}, Case{"mlp_only_layers", {-1}, "mlp_only_layers"},
        Case{"mlp_only_layers", {"3"}, "mlp_only_layers"}, Case{"mlp_only_layers", 3, "mlp_only_layers"}}) {
    const DirectoryCopy copy("qwen3moe_mixed");
    copy.ChangeConfig([&](Json& config) { config[c.key] = c.value; });
    ExpectRefused(copy.Open(), StatusCode::kDataLoss, {c.part});
  }
  const DirectoryCopy same("qwen3moe_mixed");
  same.ChangeConfig([&](Json& config) { config["mlp_only_layers"] = {3, 3, 0}; });
  EXPECT_TRUE(same.Open().ok()) << same.Open().message();
}

TEST(ModelDirectory, RowsOfExpertsAreTheSameWhicheverRangeIsAskedFor) {
  for (const LoadQuantization quantization : {LoadQuantization::kNone, LoadQuantization::kQ8_0}) {
    const auto file = OpenModelDirectory(GoldenArchitecture("qwen3moe"), quantization);
    ASSERT_TRUE(file.has_value()) << file.error().message();
    const TensorInfo* tensor = (*file)->FindTensor("blk.1.ffn_down_exps.weight");
    ASSERT_NE(tensor, nullptr);
    ASSERT_EQ(tensor->dims, (std::vector<uint64_t>{32, 32, 8}));
    std::vector<std::byte> buffer;
    const auto whole = (*file)->Rows(*tensor, 0, tensor->num_rows(), &buffer);
    const std::vector<std::byte> all(whole.begin(), whole.end());
    for (const auto& [first, last] : {std::pair(0u, 1u), std::pair(31u, 33u), std::pair(40u, 200u)}) {
      const auto some = (*file)->Rows(*tensor, first, last, &buffer);
      ASSERT_EQ(some.size(), (last - first) * tensor->row_bytes());
      EXPECT_TRUE(std::equal(some.begin(), some.end(),
                             all.begin() + static_cast<std::ptrdiff_t>(first * tensor->row_bytes())));
    }
  }
}

TEST(ModelDirectory, APartThatIsMissingIsNamed) {
  for (const char* file : {"config.json", "model.safetensors"}) {
    const DirectoryCopy copy("llama");
    fs::remove(copy.In(file));
    ExpectRefused(copy.Open(), StatusCode::kNotFound, {file});
  }
  const DirectoryCopy old("llama");
  fs::rename(old.In("model.safetensors"), old.In("pytorch_model.bin"));
  ExpectRefused(old.Open(), StatusCode::kUnimplemented, {"pytorch_model.bin", "save_pretrained"});
}

Json IndexOf(const std::string& path, const std::string& shard) {
  const auto file = SafetensorsFile::Open(path);
  EXPECT_TRUE(file.has_value());
  Json map = Json::object();
  for (const StoredTensor& tensor : (*file)->tensors()) map[tensor.name] = shard;
  return {{"weight_map", map}};
}

TEST(ModelDirectory, ShardsAreReadThroughTheirIndex) {
  const DirectoryCopy copy("llama");
  fs::rename(copy.In("model.safetensors"), copy.In("model-00001-of-00001.safetensors"));
  const Json index = IndexOf(copy.In("model-00001-of-00001.safetensors"), "model-00001-of-00001.safetensors");
  ASSERT_TRUE(WriteFile(copy.In("model.safetensors.index.json"), DumpJson(index)).ok());
  EXPECT_TRUE(copy.Open().ok()) << copy.Open().message();
}

TEST(ModelDirectory, G14RefusesBadSplits) {
  const DirectoryCopy copy("llama");
  const Json good = IndexOf(copy.In("model.safetensors"), "model.safetensors");
  const auto with = [&](const std::function<void(Json&)>& change) {
    Json index = good;
    change(index["weight_map"]);
    EXPECT_TRUE(WriteFile(copy.In("model.safetensors.index.json"), DumpJson(index)).ok());
    return copy.Open();
  };
  for (const std::string& name : {std::string("../model.safetensors"), std::string("/etc/passwd"),
                                  std::string("a\0b", 3), std::string("..")})
    ExpectRefused(with([&](Json& map) { map["lm_head.weight"] = name; }), StatusCode::kDataLoss,
                  {"index.json", "lm_head.weight"});
  ExpectRefused(with([](Json& map) { map["lm_head.weight"] = "model-2.safetensors"; }), StatusCode::kNotFound,
                {"model-2.safetensors"});
  ExpectRefused(with([](Json& map) { map["more.weight"] = "model.safetensors"; }), StatusCode::kDataLoss,
                {"more.weight", "missing"});
  ExpectRefused(with([](Json& map) { map.erase("lm_head.weight"); }), StatusCode::kDataLoss,
                {"lm_head.weight", "not in"});
  ExpectRefused(with([](Json& map) { map["lm_head.weight"] = 7; }), StatusCode::kDataLoss,
                {"lm_head.weight"});
  ExpectRefused(with([](Json& map) { map = Json::object(); }), StatusCode::kDataLoss, {"weight_map"});
  fs::copy(copy.In("model.safetensors"), copy.In("twin.safetensors"));
  ExpectRefused(with([](Json& map) { map["lm_head.weight"] = "twin.safetensors"; }), StatusCode::kDataLoss,
                {"safetensors"});
}

TEST(ModelDirectory, G9NoticesWeightsThatAreCutWhileTheyLoad) {
  const DirectoryCopy copy("llama");
  const auto file = OpenModelDirectory(copy.path());
  ASSERT_TRUE(file.has_value());
  fs::resize_file(copy.In("model.safetensors"), 9000);
  ModelOptions options;
  options.num_threads = 2;
  const auto model = Model::Load(**file, options);
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace weir
