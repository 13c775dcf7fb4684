// Vocabularies that no honest file holds: ids G12 and G13.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/tokenizer/tiny_vocabulary.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

void ExpectDataLoss(TokenizerParts parts, std::string_view message) {
  const Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Create(std::move(parts));
  ASSERT_FALSE(tokenizer.has_value()) << message;
  EXPECT_EQ(tokenizer.error().code(), StatusCode::kDataLoss);
  EXPECT_THAT(tokenizer.error().message(), HasSubstr(std::string(message)));
}

void Append(TokenizerParts* parts, std::string text, TokenType type) {
  parts->tokens.push_back(std::move(text));
  parts->types.push_back(type);
}

TEST(HostileModel, G12RefusesBrokenVocabulary) {
  for (const char* merge : {"a zz", "zz a", "x y", "a", "", " ", "a ", " a", "a b c"}) {
    TokenizerParts parts = TinyVocabulary("gpt-2");
    parts.merges.push_back(merge);
    ExpectDataLoss(std::move(parts), "tokenizer.ggml.merges[0]");
  }
  TokenizerParts parts = TinyVocabulary("gpt-2");
  parts.types.pop_back();
  ExpectDataLoss(std::move(parts), "tokenizer.ggml.token_type has 258 entries");
  parts = TinyVocabulary("gpt-2");
  parts.bos = parts.tokens.size();
  ExpectDataLoss(std::move(parts), "tokenizer.ggml.bos_token_id is 259");
  parts = TinyVocabulary("gpt-2");
  parts.eos = ~uint64_t{0};
  ExpectDataLoss(std::move(parts), "tokenizer.ggml.eos_token_id");
  parts = TinyVocabulary("gpt-2");
  parts.other_end_ids = {1u << 31};
  ExpectDataLoss(std::move(parts), "token_id is 2147483648");
  ExpectDataLoss(TokenizerParts(), "tokenizer.ggml.tokens has 0 entries");
}

TEST(HostileModel, G12LoadsEmptyAndDuplicateTokens) {
  TokenizerParts parts = TinyVocabulary("gpt-2");
  Append(&parts, "", TokenType::kNormal);   // 259
  Append(&parts, "a", TokenType::kNormal);  // 260, as id 'a'
  Append(&parts, "", TokenType::kControl);  // 261
  const Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Create(std::move(parts));
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message();
  EXPECT_THAT(*(*tokenizer)->Encode("a", SpecialTokens::kParse, false), ElementsAre('a'));
  EXPECT_THAT(*(*tokenizer)->Encode("", SpecialTokens::kParse, false), ElementsAre());
  EXPECT_EQ((*tokenizer)->TokenBytes(259, false), "");
}

TEST(HostileModel, G13ReadsByteTokensStrictly) {
  for (const char* text :
       {"<0x-1>", "<0xZZ>", "<0x1FF>", "<0x>", "<0x1>", "<0X41>", "0x41", "<0x41", "", "<0x 1>"}) {
    TokenizerParts parts = TinyVocabulary("gpt-2");
    Append(&parts, text, TokenType::kByte);
    ExpectDataLoss(std::move(parts), "tokenizer.ggml.tokens[259] is a byte token");
    // As a normal token the same text is plain text.
    parts = TinyVocabulary("gpt-2");
    Append(&parts, text, TokenType::kNormal);
    const Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Create(std::move(parts));
    ASSERT_TRUE(tokenizer.has_value()) << text;
    EXPECT_EQ((*tokenizer)->TokenBytes(259, false), text);
  }
  TokenizerParts parts = TinyVocabulary("gpt-2");
  Append(&parts, "<0xe9>", TokenType::kByte);
  EXPECT_EQ((*Tokenizer::Create(std::move(parts)))->TokenBytes(259, false), "\xE9");
}

}  // namespace
}  // namespace weir
