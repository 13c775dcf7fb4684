#include "engine/tokenizer/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/tokenizer/tiny_vocabulary.h"

namespace weir {
namespace {

class DetokenizerTest : public testing::Test {
 protected:
  std::unique_ptr<Tokenizer> tokenizer_ =
      std::move(*Tokenizer::Create(TinyVocabulary("gpt-2", {{"a", "b"}})));
};

TEST_F(DetokenizerTest, HoldsAnUnfinishedCharacterBack) {
  Detokenizer detokenizer(*tokenizer_, {}, true);
  EXPECT_EQ(detokenizer.Add(0xC3), "");
  EXPECT_EQ(detokenizer.Add(0xA9), "é");
}

TEST_F(DetokenizerTest, IncompleteTailBecomesOneReplacementCharacter) {
  Detokenizer detokenizer(*tokenizer_, {}, true);
  EXPECT_EQ(detokenizer.Add(0xF0), "");
  EXPECT_EQ(detokenizer.Add(0x9F), "");
  EXPECT_EQ(detokenizer.Finish(), "\xEF\xBF\xBD");
}

TEST_F(DetokenizerTest, ReplacesInvalidBytesAsDecodeDoes) {
  Detokenizer detokenizer(*tokenizer_, {}, true);
  const std::vector<TokenId> ids = {0xF0, 0x9F, 'a', 0x80, 0xC3, 0xC3, 0xA9, 0xFF};
  std::string joined;
  for (const TokenId id : ids) joined += detokenizer.Add(id);
  joined += detokenizer.Finish();
  EXPECT_EQ(joined, tokenizer_->Decode(ids, true));
}

TEST_F(DetokenizerTest, ReleasesTextThatNoStopStringNeeds) {
  Detokenizer detokenizer(*tokenizer_, {"END"}, true);
  EXPECT_EQ(detokenizer.Add('a'), "a");
  EXPECT_EQ(detokenizer.Add('E'), "");
  EXPECT_EQ(detokenizer.Add('N'), "");
  EXPECT_EQ(detokenizer.Add('E'), "EN");
  EXPECT_EQ(detokenizer.Finish(), "E");
  EXPECT_FALSE(detokenizer.stopped());
}

TEST_F(DetokenizerTest, StopStringAcrossTokensIsNeverReleased) {
  Detokenizer detokenizer(*tokenizer_, {"xabx"}, true);
  EXPECT_EQ(detokenizer.Add('x'), "");
  EXPECT_EQ(detokenizer.Add(256), "");
  EXPECT_EQ(detokenizer.Add('x'), "");
  EXPECT_TRUE(detokenizer.stopped());
  EXPECT_EQ(detokenizer.matched_stop(), "xabx");
  EXPECT_EQ(detokenizer.Add('a'), "");
  EXPECT_EQ(detokenizer.Finish(), "");
}

TEST_F(DetokenizerTest, EarliestStopStringWins) {
  Detokenizer detokenizer(*tokenizer_, {"b", "ab"}, true);
  EXPECT_EQ(detokenizer.Add('c'), "c");
  EXPECT_EQ(detokenizer.Add(256), "");
  EXPECT_EQ(detokenizer.matched_stop(), "ab");
}

TEST_F(DetokenizerTest, EmptyStopStringIsIgnored) {
  Detokenizer detokenizer(*tokenizer_, {""}, true);
  EXPECT_EQ(detokenizer.Add('a'), "a");
}

TEST_F(DetokenizerTest, SpecialTokensAreTextOnlyWhenNotSkipped) {
  Detokenizer skipping(*tokenizer_, {}, true);
  EXPECT_EQ(skipping.Add(258), "");
  Detokenizer showing(*tokenizer_, {}, false);
  EXPECT_EQ(showing.Add(258), "<|im_end|>");
}

TEST_F(DetokenizerTest, JoinedDeltasEqualDecodeForRandomBytes) {
  std::mt19937 random(3);
  for (int round = 0; round < 500; ++round) {
    Detokenizer detokenizer(*tokenizer_, {}, true);
    std::vector<TokenId> ids;
    std::string joined;
    for (int i = 0; i < 40; ++i) {
      ids.push_back(static_cast<TokenId>(random() % 2 == 0 ? 0x80 + random() % 0x80 : random() % 0x100));
      joined += detokenizer.Add(ids.back());
    }
    joined += detokenizer.Finish();
    ASSERT_EQ(joined, tokenizer_->Decode(ids, true)) << "round " << round;
  }
}

}  // namespace
}  // namespace weir
