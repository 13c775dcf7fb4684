#include "engine/tokenizer/unigram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "engine/tokenizer/charsmap.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/tokenizer_parts.h"

namespace weir {
namespace {

using testing::ElementsAre;

std::vector<std::string> Cuts(const Unigram& unigram, const std::string& text) {
  std::vector<Unigram::Cut> cuts;
  unigram.Segment(text, &cuts);
  std::vector<std::string> out;
  for (const Unigram::Cut& cut : cuts)
    out.push_back((cut.id < 0 ? "?" : "") + text.substr(cut.begin, cut.end - cut.begin));
  return out;
}

TEST(UnigramTest, TheHighestSumOfScoresWins) {
  Unigram unigram;
  unigram.Add("a", 0, -1);
  unigram.Add("b", 1, -1);
  unigram.Add("ab", 2, -3);
  EXPECT_THAT(Cuts(unigram, "ab"), ElementsAre("a", "b"));
  unigram.Add("ba", 3, -1);
  EXPECT_THAT(Cuts(unigram, "aba"), ElementsAre("a", "ba"));
}

TEST(UnigramTest, NeighbouringUnknownCharactersAreOneCut) {
  Unigram unigram;
  unigram.Add("a", 0, -1);
  EXPECT_THAT(Cuts(unigram, "\xC3\xA9xa\xF0\x9F\x99\x82"),
              ElementsAre("?\xC3\xA9x", "a", "?\xF0\x9F\x99\x82"));
  EXPECT_THAT(Cuts(Unigram(), "ab"), ElementsAre("?ab"));
  EXPECT_THAT(Cuts(unigram, ""), ElementsAre());
}

TEST(UnigramTest, G12RefusesAPieceThatIsTooLong) {
  TokenizerParts parts;
  parts.kind = VocabularyKind::kUnigram;
  parts.tokens = {"a", std::string(1025, 'a')};
  parts.types = {TokenType::kNormal, TokenType::kNormal};
  parts.scores = {0, 0};
  const auto made = Tokenizer::Create(std::move(parts));
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().message(), testing::HasSubstr("tokens[1] is a piece of 1025 bytes"));
}

// A table of one unit in front of the replacements.
std::string Table(uint32_t trie_bytes, const std::string& rest) {
  std::string bytes(sizeof trie_bytes, '\0');
  std::memcpy(bytes.data(), &trie_bytes, sizeof trie_bytes);
  return bytes + rest;
}

TEST(CharsmapTest, G12RefusesWhatIsNoTable) {
  for (const std::string& bytes :
       {std::string("abc"), Table(0, "abcd"), Table(3, "abcd"), Table(8, "abcd"),
        Table(4, std::string("\0\0\0\0\xFF", 5)), Table(4, std::string(4, '\0') + std::string(65, 'x'))}) {
    const auto map = Charsmap::Create(bytes);
    ASSERT_FALSE(map.has_value()) << bytes.size();
    EXPECT_EQ(map.error().code(), StatusCode::kDataLoss);
  }
}

TEST(CharsmapTest, ATrieThatPointsOutsideItselfFindsNothing) {
  const auto map = Charsmap::Create(Table(4,
                                          "\xFF\xFF\xFF\xFF"
                                          "x"));
  ASSERT_TRUE(map.has_value());
  for (const auto match : {Charsmap::Match::kLongest, Charsmap::Match::kPerGrapheme})
    EXPECT_EQ(map->Apply("a\xC3\xA9\xCC\x81 b", match), "a\xC3\xA9\xCC\x81 b");
}

}  // namespace
}  // namespace weir
