// Every architecture under the whole engine: preemption and prefix hits change no token.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/model/model_config.h"
#include "engine/safetensors/model_directory.h"
#include "tests/support/engine_harness.h"
#include "tests/support/golden_architectures.h"
#include "tests/support/requantized.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

constexpr int kVocabulary = 128;  // of the golden models, which have no tokenizer of their own
// A model of 64 positions has room for both. Half of the sequences begin alike, in more than one block of the cache.
constexpr int kSharedTokens = 20, kPromptTokens = 24, kNewTokens = 36;

std::vector<std::string> Words() {
  std::vector<std::string> words;
  for (int i = 0; i < kVocabulary; ++i) words.push_back("t" + std::to_string(i));
  return words;
}

// A golden model with words for tokens, as either kind of model that people have.
class GoldenModel {
 public:
  GoldenModel(const std::string& name, bool directory)
      : folder_(fs::temp_directory_path() / ("weir-architectures-" + std::to_string(getpid()))) {
    fs::create_directory(folder_);
    if (directory) {
      path_ = folder_ / name;
      fs::copy(GoldenArchitecture(name), path_);
      std::string vocabulary;
      for (const std::string& word : Words())
        vocabulary += (vocabulary.empty() ? "\"" : ",\"") + word + "\":" + word.substr(1);
      const std::string tokenizer =
          R"({"added_tokens":[],"normalizer":null,"post_processor":null,"decoder":{"type":"ByteLevel"},)"
          R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},)"
          R"("model":{"type":"BPE","vocab":{)" +
          vocabulary + R"(},"merges":[]}})";
      EXPECT_TRUE(WriteFile(path_ / "tokenizer.json", tokenizer).ok());
    } else {
      path_ = folder_ / (name + ".gguf");
      const auto file = ModelFile::Open(GoldenArchitecture(name + ".gguf"));
      EXPECT_TRUE(file.has_value());
      GgufWriter writer = Requantized(**file, DType::kF16);
      writer.SetString("tokenizer.ggml.model", "gpt2");
      writer.SetString("tokenizer.ggml.pre", "gpt-2");
      writer.SetStringArray("tokenizer.ggml.tokens", Words());
      writer.SetInt32Array("tokenizer.ggml.token_type", std::vector<int32_t>(kVocabulary, 1));
      writer.SetStringArray("tokenizer.ggml.merges", {});
      EXPECT_TRUE(WriteFile(path_, writer.Build()).ok());
    }
  }
  ~GoldenModel() { fs::remove_all(folder_); }

  EngineOptions Options(int64_t num_blocks) const {
    const auto file = OpenModel(path_.string());
    EXPECT_TRUE(file.has_value()) << file.error().message();
    const auto config = ReadModelConfig(**file);
    EXPECT_TRUE(config.has_value()) << config.error().message();
    EngineOptions options = weir::Options();
    options.model_path = path_.string();
    options.kv_cache_bytes = num_blocks * config->kv_shape().bytes_per_block();
    return options;
  }

 private:
  fs::path folder_;
  fs::path path_;
};

std::vector<Request> Requests() {
  std::vector<Request> requests;
  for (int i = 0; i < 6; ++i) {
    Request request = Greedy(static_cast<uint64_t>(300 + i), kPromptTokens, kNewTokens);
    for (int32_t& token : request.prompt) token %= kVocabulary;
    if (i % 2 == 1)
      for (int k = 0; k < kSharedTokens; ++k) request.prompt[static_cast<size_t>(k)] = 3 + k;
    // Greedy texts of random models soon repeat themselves.
    request.sampling.temperature = i < 2 ? 0.0f : 1.0f;
    request.sampling.seed = 40 + i;
    requests.push_back(std::move(request));
  }
  return requests;
}

class EngineArchitecturesTest : public testing::TestWithParam<std::string> {};

TEST_P(EngineArchitecturesTest, PreemptionAndPrefixHitsChangeNoToken) {
  const std::vector<Request> requests = Requests();
  for (const bool directory : {false, true}) {
    SCOPED_TRACE(directory ? "directory" : "GGUF");
    const GoldenModel model(GetParam(), directory);
    EngineOptions alone_options = model.Options(40);
    alone_options.prefix_cache = false;
    std::vector<Answer> alone;
    for (const Request& request : requests) alone.push_back(Alone(alone_options, request));
    const auto engine = MakeEngine(model.Options(11));  // six want four each
    ASSERT_NE(engine, nullptr);
    int64_t num_preempted = 0, num_cached = 0;
    engine->set_step_observer([&](const StepRecord& record) {
      num_preempted += record.num_preempted;
      num_cached += record.num_cached_tokens;
    });
    for (int round = 0; round < 2; ++round) {
      std::vector<std::shared_ptr<RequestStream>> streams;
      for (const Request& request : requests) streams.push_back(MustSubmit(*engine, request));
      const std::vector<Answer> together = RunAll(*engine, streams);
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(alone[i].tokens.size(), static_cast<size_t>(kNewTokens));
        EXPECT_EQ(together[i].tokens, alone[i].tokens) << "request " << i << ", round " << round;
      }
    }
    EXPECT_GT(num_preempted, 0);
    EXPECT_GT(num_cached, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, EngineArchitecturesTest, testing::ValuesIn(GoldenArchitectures()),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace weir
