// The default model's tokenizer against ids that the Hugging Face library made:
// tests/golden/tokenizer/SOURCE.md.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/utf8.h"
#include "engine/gguf/model_file.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {
namespace {

struct GoldenCase {
  SpecialTokens special;
  std::string text;
  std::vector<TokenId> ids;
  std::string decoded;  // equals text unless the vocabulary lacks one of its bytes
};

std::vector<GoldenCase> ReadCases() {
  std::vector<GoldenCase> cases;
  std::ifstream file(WEIR_SOURCE_DIR "/tests/golden/tokenizer/smollm2.jsonl");
  for (std::string line; std::getline(file, line);) {
    const Result<Json> row = ParseJson(line);
    if (!row.has_value()) {
      ADD_FAILURE() << row.error().message() << " in " << line;
      break;
    }
    const Json& fields = *row;
    GoldenCase out;
    out.special = fields[0].get<int>() == 1 ? SpecialTokens::kParse : SpecialTokens::kAsText;
    out.text = fields[1].get<std::string>();
    out.ids = fields[2].get<std::vector<TokenId>>();
    out.decoded = fields.size() > 3 ? fields[3].get<std::string>() : out.text;
    cases.push_back(std::move(out));
  }
  return cases;
}

class TokenizerGoldenTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const char* path = std::getenv("WEIR_TEST_MODEL");
    ASSERT_NE(path, nullptr) << "set WEIR_TEST_MODEL to the default model's GGUF file, as ./test does";
    Result<std::unique_ptr<ModelFile>> file = ModelFile::Open(path);
    ASSERT_TRUE(file.has_value()) << file.error().message();
    Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Create(**file);
    ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message();
    tokenizer_ = std::move(*tokenizer).release();
    file_ = std::move(*file).release();
  }
  static void TearDownTestSuite() {
    delete tokenizer_;
    delete file_;
  }

  static const Tokenizer* tokenizer_;
  static const ModelFile* file_;
};

const Tokenizer* TokenizerGoldenTest::tokenizer_ = nullptr;
const ModelFile* TokenizerGoldenTest::file_ = nullptr;

TEST_F(TokenizerGoldenTest, EncodesEveryStringLikeTheReference) {
  const std::vector<GoldenCase> cases = ReadCases();
  ASSERT_GE(cases.size(), 5000u);
  int num_wrong = 0;
  for (const GoldenCase& golden : cases) {
    const Result<std::vector<TokenId>> ids = tokenizer_->Encode(golden.text, golden.special, false);
    ASSERT_TRUE(ids.has_value()) << ids.error().message();
    if (*ids == golden.ids) continue;
    if (++num_wrong <= 10) {
      EXPECT_EQ(testing::PrintToString(*ids), testing::PrintToString(golden.ids))
          << QuoteForMessage(golden.text, 500);
    }
  }
  EXPECT_EQ(num_wrong, 0) << "of " << cases.size();
}

TEST_F(TokenizerGoldenTest, DecodesEveryEncodingBackToItsText) {
  size_t num_lossless = 0;
  for (const GoldenCase& golden : ReadCases()) {
    EXPECT_EQ(tokenizer_->Decode(golden.ids, false), golden.decoded);
    num_lossless += golden.decoded == golden.text ? 1 : 0;
  }
  EXPECT_GE(num_lossless, 5000u);
}

TEST_F(TokenizerGoldenTest, StreamsEveryEncodingAsWholeCharacters) {
  for (const GoldenCase& golden : ReadCases()) {
    Detokenizer detokenizer(*tokenizer_, {}, false);
    std::string joined;
    for (const TokenId id : golden.ids) {
      const std::string delta = detokenizer.Add(id);
      ASSERT_TRUE(IsValidUtf8(delta));
      joined += delta;
    }
    joined += detokenizer.Finish();
    EXPECT_EQ(joined, golden.decoded);
  }
}

TEST_F(TokenizerGoldenTest, NamesTheSpecialTokensOfTheModel) {
  EXPECT_EQ(tokenizer_->vocab_size(), 49152);
  EXPECT_EQ(tokenizer_->max_token_bytes(), 81);
  EXPECT_EQ(tokenizer_->bos(), 1);
  EXPECT_EQ(tokenizer_->eos(), 2);
  EXPECT_EQ(std::vector<TokenId>(tokenizer_->end_ids().begin(), tokenizer_->end_ids().end()),
            (std::vector<TokenId>{2, 0}));
  EXPECT_FALSE(tokenizer_->add_bos_by_default());
  EXPECT_TRUE(tokenizer_->is_special(2));
  EXPECT_EQ(tokenizer_->TokenText(2), "<|im_end|>");
  EXPECT_EQ(tokenizer_->TokenBytes(2, true), "");
}

std::string Unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(text[i]);
      continue;
    }
    const char c = text[++i];
    out.push_back(c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c);
  }
  return out;
}

TEST_F(TokenizerGoldenTest, EncodesConversationsThroughTheTemplateInTheFile) {
  const Result<std::string_view> source = file_->GetString("tokenizer.chat_template");
  ASSERT_TRUE(source.has_value()) << source.error().message();
  const Result<std::unique_ptr<ChatTemplate>> made = ChatTemplate::Create(*source, *tokenizer_);
  ASSERT_TRUE(made.has_value()) << made.error().message();
  std::ifstream file(WEIR_SOURCE_DIR "/tests/golden/chat_template/conversations.tsv");
  int num_cases = 0;
  for (std::string line; std::getline(file, line);) {
    line.push_back('\t');  // so that an empty last field counts
    std::vector<std::string> fields;
    std::istringstream in(line);
    for (std::string field; std::getline(in, field, '\t');) fields.push_back(Unescape(field));
    if (fields[0] != "smollm2.jinja") continue;
    std::vector<ChatMessage> messages;
    bool has_special = false;
    for (size_t i = 3; i + 1 < fields.size(); i += 2) {
      messages.push_back({fields[i], fields[i + 1], ""});
      has_special = has_special || fields[i + 1].find("<|") != std::string::npos;
    }
    const Result<std::vector<TokenId>> ids = (*made)->RenderAndEncode(messages, fields[1] == "1");
    ASSERT_TRUE(ids.has_value()) << ids.error().message();
    EXPECT_EQ(tokenizer_->Decode(*ids, false), fields[2]);
    // Where no message names a special token, marking who wrote what changes nothing.
    const auto whole = tokenizer_->Encode(fields[2], SpecialTokens::kParse, false);
    EXPECT_EQ(*ids == *whole, !has_special) << QuoteForMessage(fields[2], 500);
    ++num_cases;
  }
  EXPECT_GE(num_cases, 20);
}

}  // namespace
}  // namespace weir
