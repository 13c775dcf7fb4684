#include "engine/tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/utf8.h"

namespace weir {
namespace {

std::vector<std::string> Pieces(std::string_view name, std::string_view text) {
  const Result<PreTokenizer> found = PreTokenizer::Find(name);
  std::vector<std::string> pieces;
  for (size_t position = 0; position < text.size();) {
    const size_t end = found->PieceEnd(text, position);
    if (end <= position || end > text.size()) {
      ADD_FAILURE() << "piece of " << QuoteForMessage(text) << " from " << position << " to " << end;
      break;
    }
    pieces.emplace_back(text.substr(position, end - position));
    position = end;
  }
  return pieces;
}

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

TEST(PreTokenizerTest, CutsLikeTheReferenceForEveryPattern) {
  std::ifstream file(WEIR_SOURCE_DIR "/tests/golden/tokenizer/pieces.tsv");
  int num_cases = 0;
  for (std::string line; std::getline(file, line); ++num_cases) {
    std::istringstream fields(line);
    std::string name, hex, lengths;
    std::getline(fields, name, '\t');
    std::getline(fields, hex, '\t');
    std::getline(fields, lengths);
    std::string found;
    for (const std::string& piece : Pieces(name, FromHex(hex))) {
      found += (found.empty() ? "" : " ") + std::to_string(piece.size());
    }
    EXPECT_EQ(found, lengths) << name << " of " << QuoteForMessage(FromHex(hex), 500);
  }
  EXPECT_GE(num_cases, 2000);
}

TEST(PreTokenizerTest, SmollmKeepsEveryDigitAlone) {
  EXPECT_THAT(Pieces("smollm", "a 12 b"), testing::ElementsAre("a", " ", "1", "2", " b"));
}

TEST(PreTokenizerTest, SpaceRunLeavesOneSpaceToTheWord) {
  EXPECT_THAT(Pieces("gpt-2", "a   b"), testing::ElementsAre("a", "  ", " b"));
}

TEST(PreTokenizerTest, LlamaTakesNumbersInThrees) {
  EXPECT_THAT(Pieces("llama-bpe", "1234567"), testing::ElementsAre("123", "456", "7"));
}

TEST(PreTokenizerTest, LlamaKeepsLineBreaksWithThePunctuationBefore) {
  EXPECT_THAT(Pieces("llama-bpe", "x.\n\ny"), testing::ElementsAre("x", ".\n\n", "y"));
}

TEST(PreTokenizerTest, ContractionsIgnoreCaseOnlyWhereThePatternSaysSo) {
  EXPECT_THAT(Pieces("llama-bpe", "HE'S"), testing::ElementsAre("HE", "'S"));
  EXPECT_THAT(Pieces("gpt-2", "HE'S"), testing::ElementsAre("HE", "'", "S"));
}

TEST(PreTokenizerTest, CasedPatternsCutWhereACapitalFollowsASmallLetter) {
  EXPECT_THAT(Pieces("gpt-4o", "camelCaseHTTPServer's"),
              testing::ElementsAre("camel", "Case", "HTTPServer's"));
  EXPECT_THAT(Pieces("tekken", "camelCase's 123"),
              testing::ElementsAre("camel", "Case", "'s", " ", "1", "2", "3"));
  // What is both capital and small ends a word of capitals that nothing small follows.
  EXPECT_THAT(Pieces("gpt-4o",
                     "AB\xE4\xB8\xAD"
                     "CD"),
              testing::ElementsAre("AB\xE4\xB8\xAD", "CD"));
  EXPECT_THAT(Pieces("gpt-4o", "a//\n/b"), testing::ElementsAre("a", "//\n/", "b"));
  // A mark is the prefix of a word, or one.
  EXPECT_THAT(Pieces("tekken",
                     "\xCC\x81"
                     "ab 1\xCC\x81"),
              testing::ElementsAre("\xCC\x81"
                                   "ab",
                                   " ", "1", "\xCC\x81"));
}

TEST(PreTokenizerTest, UnknownNameListsTheKnownOnes) {
  const Result<PreTokenizer> found = PreTokenizer::Find("deepseek-llm");
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code(), StatusCode::kUnimplemented);
  EXPECT_THAT(found.error().message(), testing::HasSubstr("deepseek-llm"));
  EXPECT_THAT(found.error().message(), testing::HasSubstr("gpt-2, llama-bpe, qwen2, smollm"));
}

}  // namespace
}  // namespace weir
