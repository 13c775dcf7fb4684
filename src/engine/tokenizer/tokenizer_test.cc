#include "engine/tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "engine/tokenizer/merge_table.h"
#include "engine/tokenizer/tiny_vocabulary.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<Tokenizer> Make(TokenizerParts parts) {
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::Create(std::move(parts));
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  return tokenizer.has_value() ? std::move(*tokenizer) : nullptr;
}

TEST(TokenizerTest, MergesTheEarliestPairFirst) {
  // "bc" is earlier than "ab", so "abc" is a + bc.
  const auto tokenizer = Make(TinyVocabulary("gpt-2", {{"b", "c"}, {"a", "b"}, {"ab", "c"}}));
  EXPECT_THAT(*tokenizer->Encode("abc", SpecialTokens::kAsText, false), ElementsAre('a', 256));
}

TEST(TokenizerTest, MergesTheLeftmostOfEqualPairs) {
  const auto tokenizer = Make(TinyVocabulary("gpt-2", {{"a", "a"}}));
  EXPECT_THAT(*tokenizer->Encode("aaa", SpecialTokens::kAsText, false), ElementsAre(256, 'a'));
}

TEST(TokenizerTest, DoesNotMergeAcrossPieces) {
  const auto tokenizer = Make(TinyVocabulary("gpt-2", {{"a", "."}}));
  EXPECT_THAT(*tokenizer->Encode("a.", SpecialTokens::kAsText, false), ElementsAre('a', '.'));
}

TEST(TokenizerTest, ParsesSpecialTokensOnlyWhenAsked) {
  const auto tokenizer = Make(TinyVocabulary("gpt-2"));
  EXPECT_THAT(*tokenizer->Encode("x<|im_end|>", SpecialTokens::kParse, false), ElementsAre('x', 257));
  EXPECT_EQ(tokenizer->Encode("x<|im_end|>", SpecialTokens::kAsText, false)->size(), 11u);
}

TEST(TokenizerTest, TakesTheLongestSpecialToken) {
  TokenizerParts parts = TinyVocabulary("gpt-2");
  parts.tokens.push_back("<|im_end|>!");
  parts.types.push_back(TokenType::kControl);
  const auto tokenizer = Make(std::move(parts));
  EXPECT_THAT(*tokenizer->Encode("<|im_end|>!<|im_end|>?", SpecialTokens::kParse, false),
              ElementsAre(259, 257, '?'));
}

TEST(TokenizerTest, FindsUserDefinedTokensInAnyText) {
  TokenizerParts parts = TinyVocabulary("gpt-2");
  parts.tokens.push_back("<think>");
  parts.types.push_back(TokenType::kUserDefined);
  const auto tokenizer = Make(std::move(parts));
  EXPECT_THAT(*tokenizer->Encode("a<think>", SpecialTokens::kAsText, false), ElementsAre('a', 259));
}

TEST(TokenizerTest, AddsBosOnRequest) {
  const auto tokenizer = Make(TinyVocabulary("gpt-2"));
  EXPECT_THAT(*tokenizer->Encode("a", SpecialTokens::kAsText, true), ElementsAre(256, 'a'));
}

TEST(TokenizerTest, BosByDefaultFollowsTheFileThenThePreTokenizer) {
  EXPECT_FALSE(Make(TinyVocabulary("gpt-2"))->add_bos_by_default());
  EXPECT_TRUE(Make(TinyVocabulary("llama-bpe"))->add_bos_by_default());
  TokenizerParts parts = TinyVocabulary("llama-bpe");
  parts.add_bos = false;
  EXPECT_FALSE(Make(std::move(parts))->add_bos_by_default());
}

TEST(TokenizerTest, EndIdsIncludeEndOfTurnByName) {
  const auto tokenizer = Make(TinyVocabulary("gpt-2"));
  EXPECT_THAT(tokenizer->end_ids(), ElementsAre(257, 258));
}

TEST(TokenizerTest, WholePieceThatIsATokenSkipsTheMerges) {
  // By merges alone "abc" is a + bc; llama-bpe looks the piece up first.
  TokenizerParts parts = TinyVocabulary("llama-bpe", {{"b", "c"}, {"a", "b"}, {"ab", "c"}});
  EXPECT_THAT(*Make(std::move(parts))->Encode("abc", SpecialTokens::kAsText, false), ElementsAre(258));
}

TEST(TokenizerTest, SkipsSpecialTokensInDecodeWhenAsked) {
  const auto tokenizer = Make(TinyVocabulary("gpt-2"));
  const std::vector<TokenId> ids = {'a', 257, 'b'};
  EXPECT_EQ(tokenizer->Decode(ids, true), "ab");
  EXPECT_EQ(tokenizer->Decode(ids, false), "a<|im_end|>b");
}

TEST(TokenizerTest, DecodesIdsOutsideTheVocabularyToNothing) {
  const auto tokenizer = Make(TinyVocabulary("gpt-2"));
  const std::vector<TokenId> ids = {-1, 'a', 1 << 30};
  EXPECT_EQ(tokenizer->Decode(ids, true), "a");
  EXPECT_EQ(tokenizer->TokenText(-5), "");
}

TEST(TokenizerTest, LongPiecesMergeAsShortOnesDo) {
  // The same random text as one long piece and by brute force over all pairs.
  TokenizerParts parts = TinyVocabulary("gpt-2", {{"a", "b"},
                                                  {"b", "a"},
                                                  {"ab", "ab"},
                                                  {"a", "a"},
                                                  {"ba", "b"},
                                                  {"aa", "b"},
                                                  {"abab", "a"},
                                                  {"bab", "ab"}});
  MergeTable table;
  std::vector<std::string> texts;
  for (const std::string& token : parts.tokens) texts.push_back(token);
  const auto id_of = [&](const std::string& text) {
    return static_cast<int32_t>(std::find(texts.begin(), texts.end(), text) - texts.begin());
  };
  for (size_t i = 0; i < parts.merges.size(); ++i) {
    const size_t space = parts.merges[i].find(' ');
    const std::string left = parts.merges[i].substr(0, space);
    const std::string right = parts.merges[i].substr(space + 1);
    table.Add(id_of(left), id_of(right), {static_cast<int32_t>(i), id_of(left + right)});
  }
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<int32_t> tokens;
    const int length = 1 + static_cast<int>(random() % 300);
    for (int i = 0; i < length; ++i) tokens.push_back(random() % 3 == 0 ? 'b' : 'a');
    std::vector<int32_t> expected = tokens;
    while (true) {
      const MergeTable::Merge* best = nullptr;
      size_t place = 0;
      for (size_t i = 0; i + 1 < expected.size(); ++i) {
        const MergeTable::Merge* merge = table.Find(expected[i], expected[i + 1]);
        if (merge != nullptr && (best == nullptr || merge->rank < best->rank)) {
          best = merge;
          place = i;
        }
      }
      if (best == nullptr) break;
      expected[place] = best->result;
      expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(place) + 1);
    }
    table.MergeAll(&tokens);
    ASSERT_EQ(tokens, expected) << "round " << round;
  }
}

}  // namespace
}  // namespace weir
