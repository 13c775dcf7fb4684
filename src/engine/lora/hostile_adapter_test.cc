// Adapters made to break their reader, and adapters of other models: refused by name, never computed, never a crash.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "engine/lora/lora_adapter.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/golden_architectures.h"
#include "tests/support/temp_file.h"

namespace weir {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::unique_ptr<ModelFile> ModelOf(const std::string& name) {
  auto file = ModelFile::Open(GoldenArchitecture(name + ".gguf"));
  EXPECT_TRUE(file.has_value());
  return *std::move(file);
}

Status Load(const std::string& path, const std::unique_ptr<ModelFile>& model) {
  const auto adapter = LoraAdapter::Open(path);
  if (!adapter.has_value()) return adapter.error();
  ModelOptions options;
  options.num_threads = 1;
  options.max_rows = 1;
  options.max_logit_rows = 1;
  options.adapters = {&*adapter};
  return Model::Load(*model, options).status();
}

class AdapterCopy {
 public:
  AdapterCopy() : path_(fs::temp_directory_path() / ("weir-adapter-" + std::to_string(getpid()))) {
    fs::remove_all(path_);
    fs::copy(GoldenAdapter("llama.rslora"), path_);
  }
  ~AdapterCopy() { fs::remove_all(path_); }
  std::string path() const { return path_.string(); }
  std::string In(const std::string& file) const { return (path_ / file).string(); }
  void Change(const std::function<void(Json&)>& change) const {
    Json config = *ReadJsonFile(GoldenAdapter("llama.rslora/adapter_config.json"));
    change(config);
    EXPECT_TRUE(WriteFile(In("adapter_config.json"), DumpJson(config)).ok());
  }

 private:
  fs::path path_;
};

TEST(HostileAdapter, VariantsOfLoraAreRefusedByTheirKey) {
  const AdapterCopy copy;
  const auto model = ModelOf("llama");
  EXPECT_TRUE(Load(copy.path(), model).ok()) << Load(copy.path(), model).message();
  struct Case {
    const char* key;
    Json value;
  };
  const Case cases[] = {
      {"peft_type", "IA3"},
      {"peft_type", nullptr},
      {"use_dora", true},
      {"use_qalora", true},
      {"use_something_new", true},
      {"lora_bias", true},
      {"fan_in_fan_out", true},
      {"modules_to_save", Json::array({"lm_head"})},
      {"trainable_token_indices", Json::array({1, 2})},
      {"layer_replication", Json::array({Json::array({0, 2})})},
      {"target_parameters", Json::array({"experts.gate_up_proj"})},
      {"alora_invocation_tokens", Json::array({7})},
      {"kasa_config", {{"beta", 1}}},
      {"bias", "all"},
      {"init_lora_weights", "pissa"},
      {"rank_pattern", {{"layers\\.[0-9]+\\.q_proj", 3}}},
  };
  for (const Case& c : cases) {
    copy.Change([&](Json& json) { json[c.key] = c.value; });
    const Status status = Load(copy.path(), model);
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented) << c.key << ": " << status.message();
    EXPECT_THAT(status.message(), HasSubstr(c.key));
    EXPECT_THAT(status.message(), HasSubstr("adapter_config.json"));
  }
}

TEST(HostileAdapter, ImpossibleNumbersAreRefusedByTheirKey) {
  const AdapterCopy copy;
  const auto model = ModelOf("llama");
  struct Case {
    const char* key;
    Json value;
    const char* part;
  };
  const Case cases[] = {
      {"r", 0, "key r"},
      {"r", -4, "key r"},
      {"r", 4.5, "key r"},
      {"r", 1e300, "key r"},
      {"r", "4", "key r"},
      {"r", nullptr, "key r"},
      {"r", 7, "rank 7"},
      {"lora_alpha", "much", "key lora_alpha"},
      {"lora_alpha", 1e300, "scale"},
      {"rank_pattern", 7, "key rank_pattern"},
      {"rank_pattern", {{"q_proj", -1}}, "rank_pattern"},
      {"alpha_pattern", {{"q_proj", "x"}}, "alpha_pattern"},
  };
  for (const Case& c : cases) {
    copy.Change([&](Json& json) { json[c.key] = c.value; });
    const Status status = Load(copy.path(), model);
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << c.key << ": " << status.message();
    EXPECT_THAT(status.message(), HasSubstr(c.part));
  }
  EXPECT_TRUE(WriteFile(copy.In("adapter_config.json"), "[1]").ok());
  EXPECT_EQ(Load(copy.path(), model).code(), StatusCode::kDataLoss);
}

TEST(HostileAdapter, AdaptersOfOtherModelsAreRefusedWithBothSizes) {
  // Qwen 2's is wider; Qwen 3's has fewer, but equal matrices, of another order in GGUF.
  Status status = Load(GoldenAdapter("qwen2.plain"), ModelOf("llama"));
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("is 64 x 4, expected 32 x 4"));
  status = Load(GoldenAdapter("qwen3.plain.gguf"), ModelOf("llama"));
  EXPECT_THAT(status.message(), HasSubstr("general.architecture is \"qwen3\", but the model's is \"llama\""));
  status = Load(GoldenAdapter("smollm3.plain"), ModelOf("llama"));
  EXPECT_THAT(status.message(), HasSubstr("blk.2"));
  status = Load(GoldenAdapter("llama.plain"), ModelOf("qwen3moe"));
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("attention only"));
  // Layer 0 has the feed-forward that the adapter wants, layer 1 experts.
  status = Load(GoldenAdapter("llama.plain"), ModelOf("qwen3moe_mixed"));
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(), HasSubstr("blk.1.ffn"));
  EXPECT_THAT(status.message(), HasSubstr("attention, and the feed-forward of layers without experts"));
}

TEST(HostileAdapter, PathsOfOtherKindsAreToldApart) {
  EXPECT_EQ(Load("/nonexistent", ModelOf("llama")).code(), StatusCode::kNotFound);
  EXPECT_THAT(Load(GoldenArchitecture("llama"), ModelOf("llama")).message(),
              HasSubstr("adapter_config.json"));
  EXPECT_THAT(Load(GoldenArchitecture("llama.gguf"), ModelOf("llama")).message(), HasSubstr("general.type"));
  EXPECT_THAT(Load(GoldenAdapter("llama.plain/adapter_model.safetensors"), ModelOf("llama")).message(),
              HasSubstr("name the directory"));
}

GgufWriter Gguf() {
  GgufWriter writer;
  writer.SetString("general.architecture", "llama");
  writer.SetString("general.type", "adapter");
  writer.SetString("adapter.type", "lora");
  writer.SetFloat32("adapter.lora.alpha", 4.0f);
  return writer;
}

std::string Zeros(size_t floats) { return std::string(4 * floats, '\0'); }

TEST(HostileAdapter, GgufFilesThatContradictThemselvesAreRefused) {
  const auto model = ModelOf("llama");
  const auto refusal = [&](const GgufWriter& writer) {
    const TempFile file(writer.Build());
    const Status status = Load(file.path(), model);
    EXPECT_FALSE(status.ok());
    return status.message();
  };
  const auto with = [](const std::string& name, std::vector<uint64_t> a, std::vector<uint64_t> b) {
    GgufWriter writer = Gguf();
    const auto size = [](const std::vector<uint64_t>& dims) {
      uint64_t product = 1;
      for (const uint64_t dim : dims) product *= dim;
      return product;
    };
    writer.AddTensor(name + ".lora_a", a, DType::kF32, Zeros(size(a)));
    writer.AddTensor(name + ".lora_b", b, DType::kF32, Zeros(size(b)));
    return writer;
  };
  const TempFile sound(with("blk.0.attn_q.weight", {32, 2}, {2, 64}).Build());
  EXPECT_TRUE(Load(sound.path(), model).ok()) << Load(sound.path(), model).message();
  EXPECT_THAT(refusal(Gguf()), HasSubstr("no tensor"));
  EXPECT_THAT(refusal(with("blk.0.attn_q.weight", {32, 2}, {3, 64})), HasSubstr("expected 64 x 2"));
  EXPECT_THAT(refusal(with("blk.0.attn_q.weight", {32, 2}, {2, 65})), HasSubstr("expected 64 x 2"));
  EXPECT_THAT(refusal(with("blk.0.attn_q.weight", {31, 2}, {2, 64})), HasSubstr("expected 32"));
  EXPECT_THAT(refusal(with("blk.0.attn_q.weight", {32, 2000}, {2000, 64})), HasSubstr("rank 2000"));
  EXPECT_THAT(refusal(with("blk.0.attn_q.weight", {32, 2, 2}, {2, 64})), HasSubstr("3 dimensions"));
  EXPECT_THAT(refusal(with("blk.9.attn_q.weight", {32, 2}, {2, 64})), HasSubstr("does not have"));
  for (const char* name :
       {"token_embd.weight", "output.weight", "blk.0.attn_norm.weight", "blk.", "", "blk.0."})
    EXPECT_THAT(refusal(with(name, {32, 2}, {2, 64})), HasSubstr("not adapted")) << name;
  GgufWriter half = Gguf();
  half.AddTensor("blk.0.attn_q.weight.lora_a", {32, 2}, DType::kF32, Zeros(64));
  EXPECT_THAT(refusal(half), HasSubstr("lora_b is missing"));
  half.AddTensor("blk.0.attn_norm.weight", {32}, DType::kF32, Zeros(32));
  EXPECT_THAT(refusal(half), HasSubstr("no half"));
  GgufWriter other = with("blk.0.attn_q.weight", {32, 2}, {2, 64});
  other.SetString("adapter.type", "ia3");
  EXPECT_THAT(refusal(other), HasSubstr("ia3"));
  other.SetString("adapter.type", "lora");
  other.SetFloat32("adapter.lora.alpha", NAN);
  EXPECT_THAT(refusal(other), HasSubstr("adapter.lora.alpha"));
  GgufWriter infinite = Gguf();
  std::string data = Zeros(64);
  const float bad = INFINITY;
  std::memcpy(data.data() + 4 * 40, &bad, 4);
  infinite.AddTensor("blk.0.attn_q.weight.lora_a", {32, 2}, DType::kF32, data);
  infinite.AddTensor("blk.0.attn_q.weight.lora_b", {2, 64}, DType::kF32, Zeros(128));
  EXPECT_THAT(refusal(infinite), HasSubstr("not a finite number"));
}

// Any byte changed, any cut: an adapter or a message.
TEST(HostileAdapter, DamageNeverCrashes) {
  const auto model = ModelOf("llama");
  const std::string gguf = *ReadFile(GoldenAdapter("llama.plain.gguf"));
  const std::string tensors = *ReadFile(GoldenAdapter("llama.rslora/adapter_model.safetensors"));
  const std::string json = *ReadFile(GoldenAdapter("llama.rslora/adapter_config.json"));
  const AdapterCopy copy;
  Rng rng(5);
  for (int i = 0; i < 300; ++i) {
    const auto damage = [&](std::string bytes, size_t head) {
      for (int changes = 0; changes < 3; ++changes)
        bytes[rng.NextBelow(std::min(head, bytes.size()))] = static_cast<char>(rng.NextBelow(256));
      if (rng.NextBelow(4) == 0) bytes.resize(rng.NextBelow(bytes.size()));
      return bytes;
    };
    const TempFile file(damage(gguf, 4000));
    const Status of_gguf = Load(file.path(), model);
    EXPECT_LT(of_gguf.message().size(), 1000u);
    EXPECT_TRUE(WriteFile(copy.In("adapter_model.safetensors"), damage(tensors, 6000)).ok());
    EXPECT_TRUE(
        WriteFile(copy.In("adapter_config.json"), i % 2 == 0 ? json : damage(json, json.size())).ok());
    EXPECT_LT(Load(copy.path(), model).message().size(), 1000u);
  }
}

}  // namespace
}  // namespace weir
