// tokenizer.json against the library that defines it: tests/golden/tokenizer_families, written by
// tools/update_golden_tokenizer_families.py.
#include "engine/safetensors/tokenizer_json.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kVocabulary = 2000;  // of a model, which has rows to spare

std::string Families() {
  const char* large = std::getenv("WEIR_TOKENIZER_FAMILIES");
  return large != nullptr ? large : WEIR_SOURCE_DIR "/tests/golden/tokenizer_families";
}

Result<std::unique_ptr<ModelFile>> Read(const std::string& directory, uint32_t vocabulary = kVocabulary) {
  MetadataWriter metadata;
  WEIR_RETURN_IF_ERROR(WriteTokenizer(directory, vocabulary, &metadata));
  return ModelFile::Assemble(directory, std::move(metadata.bytes()), metadata.num_keys(), {}, nullptr);
}

class TokenizerJsonTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto file = Read(Families() + "/" + GetParam());
    ASSERT_TRUE(file.has_value()) << file.error().message();
    file_ = *std::move(file);
    auto tokenizer = Tokenizer::Create(*file_);
    ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message();
    tokenizer_ = *std::move(tokenizer);
  }
  std::unique_ptr<ModelFile> file_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(TokenizerJsonTest, EncodesAsTheLibraryDoes) {
  std::ifstream in(Families() + "/" + GetParam() + "/cases.jsonl");
  int compared = 0, different = 0;
  for (std::string line; std::getline(in, line); ++compared) {
    const Result<Json> row = ParseJson(line);
    ASSERT_TRUE(row.has_value()) << line;
    const auto text = (*row)[1].get<std::string>();
    const auto expected = (*row)[2].get<std::vector<TokenId>>();
    const auto special = (*row)[0] == 1 ? SpecialTokens::kParse : SpecialTokens::kAsText;
    const auto ids = tokenizer_->Encode(text, special, false);
    ASSERT_TRUE(ids.has_value()) << ids.error().message();
    if (*ids == expected) continue;
    if (++different <= 5) ADD_FAILURE() << testing::PrintToString(*ids) << "\ninstead of " << line;
  }
  EXPECT_EQ(different, 0) << "of " << compared;
  EXPECT_GE(compared, 600);
}

TEST_P(TokenizerJsonTest, T1EncodesLongRuns) {
  for (const char* unit : {"a", " ", "\n", "\xE4\xB8\xAD", "\xCC\x81", "\xCC\x81\xCC\x96"}) {
    std::string text;
    while (text.size() < 300'000) text += unit;
    const auto ids = tokenizer_->Encode(text, SpecialTokens::kAsText, false);
    ASSERT_TRUE(ids.has_value());
    EXPECT_LE(ids->size(), text.size() + 1);
    // What NFC reorders does not come back as it was, nor a first space that could be the one encoding puts there.
    if (GetParam() == "qwen2" || ((GetParam() == "mistral" || GetParam() == "unigram_bytes") && *unit == ' '))
      continue;
    if (GetParam().starts_with("t5")) continue;  // rewrites what it reads, and forgets what it does not know
    EXPECT_EQ(tokenizer_->Decode(*ids, false), text) << unit;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, TokenizerJsonTest,
                         testing::Values("gpt2", "smollm2", "qwen2", "llama3", "phi4", "llama2", "phi3",
                                         "mistral", "gemma", "tekken", "gpt4o", "t5", "t5_words",
                                         "unigram_bytes"),
                         [](const auto& name) { return name.param; });

class Copy {
 public:
  explicit Copy(const char* name)
      : path_(fs::temp_directory_path() / ("weir-tokenizer-" + std::to_string(getpid()))) {
    fs::remove_all(path_);
    fs::create_directory(path_);
    fs::copy(std::string(WEIR_SOURCE_DIR "/tests/golden/tokenizer_families/") + name + "/tokenizer.json",
             path_);
  }
  ~Copy() { fs::remove_all(path_); }
  std::string path() const { return path_.string(); }
  void Write(const char* name, const std::string& text) const {
    EXPECT_TRUE(WriteFile((path_ / name).string(), text).ok());
  }
  void Change(const std::function<void(Json&)>& change) const {
    Json root = *ReadJsonFile((path_ / "tokenizer.json").string());
    change(root);
    Write("tokenizer.json", DumpJson(root));
  }

 private:
  fs::path path_;
};

void ExpectRefused(const Status& status, StatusCode code, const std::string& part) {
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(status.message().find(part), std::string::npos) << part << " in: " << status.message();
}

TEST(TokenizerJson, WhatStandsBesideItNamesEndsAndTemplate) {
  const Copy copy("llama3");
  copy.Write(
      "tokenizer_config.json",
      R"({"bos_token":"<|begin_of_text|>","eos_token":{"content":"<|eot_id|>"},"chat_template":"from config"})");
  copy.Write("generation_config.json", R"({"eos_token_id":[1501,1502]})");
  auto file = Read(copy.path());
  ASSERT_TRUE(file.has_value()) << file.error().message();
  EXPECT_EQ(*(*file)->GetString("tokenizer.chat_template"), "from config");
  const auto tokenizer = Tokenizer::Create(**file);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message();
  EXPECT_EQ((*tokenizer)->bos(), 1500);
  EXPECT_TRUE((*tokenizer)->add_bos_by_default());
  const auto ends = (*tokenizer)->end_ids();
  EXPECT_EQ(std::vector<TokenId>(ends.begin(), ends.end()), (std::vector<TokenId>{1501, 1502}));
  copy.Write("chat_template.jinja", "from file");
  file = Read(copy.path());
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(*(*file)->GetString("tokenizer.chat_template"), "from file");
  copy.Write("generation_config.json", R"({"eos_token_id":5000})");
  ExpectRefused(Read(copy.path()).status(), StatusCode::kDataLoss, "5000");
}

TEST(TokenizerJson, AnotherFormBesideItIsNamed) {
  const Copy copy("llama2");
  fs::remove(copy.path() + "/tokenizer.json");
  EXPECT_TRUE(Read(copy.path()).has_value());
  copy.Write("tokenizer.model", "");
  ExpectRefused(Read(copy.path()).status(), StatusCode::kUnimplemented, "tokenizer.model");
}

TEST(TokenizerJson, WhatWeirLacksIsRefusedByName) {
  struct Case {
    const char* part;
    std::function<void(Json&)> change;
  };
  const Case cases[] = {
      {"Unigram", [](Json& root) { root["model"]["type"] = "Unigram"; }},
      {"Lowercase",
       [](Json& root) {
         root["normalizer"] = {{"type", "Lowercase"}};
       }},
      {"Whitespace",
       [](Json& root) {
         root["pre_tokenizer"] = {{"type", "Whitespace"}};
       }},
      {"foo+", [](Json& root) { root["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "foo+"; }},
      {"neither", [](Json& root) { root["pre_tokenizer"] = nullptr; }},
      {"single word", [](Json& root) { root["added_tokens"][0]["single_word"] = true; }},
  };
  for (const Case& c : cases) {
    const Copy copy("llama3");
    copy.Change(c.change);
    ExpectRefused(Read(copy.path()).status(), StatusCode::kUnimplemented, c.part);
  }
}

TEST(TokenizerJson, G12RefusesBrokenVocabularies) {
  struct Case {
    const char* part;
    std::function<void(Json&)> change;
  };
  const Case cases[] = {
      {"model", [](Json& root) { root.erase("model"); }},
      {"vocab", [](Json& root) { root["model"]["vocab"] = Json::array(); }},
      {"whole number", [](Json& root) { root["model"]["vocab"]["a"] = "7"; }},
      {"-1", [](Json& root) { root["model"]["vocab"]["a"] = -1; }},
      {"belongs to", [](Json& root) { root["model"]["vocab"]["a"] = 3; }},
      {"no pair", [](Json& root) { root["model"]["merges"][4] = 7; }},
      {"merges", [](Json& root) { root["model"]["merges"] = "a b"; }},
      {"added token", [](Json& root) { root["added_tokens"][0].erase("content"); }},
  };
  for (const Case& c : cases) {
    const Copy copy("llama3");
    copy.Change(c.change);
    ExpectRefused(Read(copy.path()).status(), StatusCode::kDataLoss, c.part);
  }
  // Found when the merges are made into a table.
  const Copy copy("llama3");
  copy.Change([](Json& root) { root["model"]["merges"][4] = Json::array({"no", "such"}); });
  const auto file = Read(copy.path());
  ASSERT_TRUE(file.has_value());
  ExpectRefused(Tokenizer::Create(**file).status(), StatusCode::kDataLoss, "merges[4]");
}

TEST(TokenizerJson, DamagedTextNeverBreaksTheReader) {
  const Copy copy("mistral");
  const std::string whole = *ReadFile(copy.path() + "/tokenizer.json");
  for (size_t size = 0; size < whole.size(); size += whole.size() / 40) {
    copy.Write("tokenizer.json", whole.substr(0, size));
    EXPECT_FALSE(Read(copy.path()).has_value()) << size;
  }
}

}  // namespace
}  // namespace weir
