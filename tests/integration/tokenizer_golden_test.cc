// The default model's tokenizer against ids that the Hugging Face library made:
// tests/golden/tokenizer/SOURCE.md.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/utf8.h"
#include "engine/gguf/model_file.h"
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
  }
  static void TearDownTestSuite() { delete tokenizer_; }

  static Tokenizer* tokenizer_;
};

Tokenizer* TokenizerGoldenTest::tokenizer_ = nullptr;

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

}  // namespace
}  // namespace weir
