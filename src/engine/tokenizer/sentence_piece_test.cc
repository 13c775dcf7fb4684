// Vocabularies of characters with spaces as U+2581, whose merges come from scores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/tokenizer_parts.h"
#include "engine/tokenizer/unicode_nfc.h"

namespace weir {
namespace {

using testing::ElementsAre;

// 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes, then the tokens named here with falling scores.
TokenizerParts Vocabulary(std::initializer_list<const char*> tokens) {
  TokenizerParts parts;
  parts.kind = VocabularyKind::kSentencePiece;
  parts.tokens = {"<unk>", "<s>", "</s>"};
  parts.types = {TokenType::kUnknown, TokenType::kControl, TokenType::kControl};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", static_cast<unsigned>(byte));
    parts.tokens.emplace_back(text);
    parts.types.push_back(TokenType::kByte);
  }
  for (const char* token : tokens) {
    parts.tokens.emplace_back(token);
    parts.types.push_back(TokenType::kNormal);
  }
  for (size_t i = 0; i < parts.tokens.size(); ++i) parts.scores.push_back(-static_cast<double>(i));
  parts.unknown = 0;
  parts.bos = 1;
  parts.eos = 2;
  return parts;
}

std::unique_ptr<Tokenizer> Make(TokenizerParts parts) {
  auto tokenizer = Tokenizer::Create(std::move(parts));
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  return tokenizer.has_value() ? std::move(*tokenizer) : nullptr;
}

std::vector<std::string> Texts(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> out;
  const auto ids = tokenizer.Encode(text, SpecialTokens::kParse, false);
  for (const TokenId id : *ids) out.emplace_back(tokenizer.TokenText(id));
  return out;
}

TEST(SentencePieceTest, TheHighestScoreMergesFirst) {
  const auto tokenizer = Make(Vocabulary({"bc", "ab", "a", "b", "c", "abc"}));
  EXPECT_THAT(Texts(*tokenizer, "abc"), ElementsAre("abc"));  // a + bc
  const auto other = Make(Vocabulary({"bc", "ab", "a", "b", "c"}));
  EXPECT_THAT(Texts(*other, "abc"), ElementsAre("a", "bc"));
}

TEST(SentencePieceTest, CharactersOutsideTheVocabularyBecomeTheirBytes) {
  const auto tokenizer = Make(Vocabulary({"a"}));
  EXPECT_THAT(Texts(*tokenizer, "a\xC3\xA9"), ElementsAre("a", "<0xC3>", "<0xA9>"));
  EXPECT_EQ(tokenizer->Decode(*tokenizer->Encode("a\xC3\xA9", SpecialTokens::kAsText, false), true),
            "a\xC3\xA9");
}

TEST(SentencePieceTest, ThePrefixIsPutWhereItBelongs) {
  struct Case {
    SpacePrefix prefix;
    std::vector<std::string> expected;
  };
  for (const Case& c : {Case{SpacePrefix::kNone, {"a", "</s>", "a"}},
                        Case{SpacePrefix::kFirst,
                             {"\xE2\x96\x81"
                              "a",
                              "</s>", "a"}},
                        Case{SpacePrefix::kEvery,
                             {"\xE2\x96\x81"
                              "a",
                              "</s>",
                              "\xE2\x96\x81"
                              "a"}}}) {
    TokenizerParts parts =
        Vocabulary({"\xE2\x96\x81"
                    "a",
                    "a", "\xE2\x96\x81"});
    parts.spelling.prefix = c.prefix;
    EXPECT_EQ(Texts(*Make(std::move(parts)), "a</s>a"), c.expected);
  }
}

TEST(SentencePieceTest, DecodingDropsTheSpaceThatEncodingPutThere) {
  TokenizerParts parts =
      Vocabulary({"\xE2\x96\x81"
                  "a",
                  "a", "\xE2\x96\x81"});
  parts.spelling.prefix = SpacePrefix::kFirst;
  const auto tokenizer = Make(std::move(parts));
  for (const char* text : {"a", " a", "a a", "  "})
    EXPECT_EQ(tokenizer->Decode(*tokenizer->Encode(text, SpecialTokens::kAsText, false), true), text);
}

TEST(SentencePieceTest, ATokenThatStripsTakesTheWhiteSpaceBesideIt) {
  TokenizerParts parts = Vocabulary({"a", "\xE2\x96\x81"});
  parts.strips_left = {2};
  parts.strips_right = {1, 2};
  const auto tokenizer = Make(std::move(parts));
  EXPECT_THAT(Texts(*tokenizer, "a <s> \n\xC2\xA0 a \xE2\x80\x83</s> a"),
              ElementsAre("a", "\xE2\x96\x81", "<s>", "a", "</s>", "a"));
  // The template's token, then what a client wrote.
  const MarkedText marked[] = {{"<s>", SpecialTokens::kParse}, {"  a", SpecialTokens::kAsText}};
  EXPECT_EQ(tokenizer->EncodeParts(marked, false)->size(), 2u);
}

TEST(SentencePieceTest, G12RefusesScoresThatAreMissing) {
  TokenizerParts parts = Vocabulary({"a"});
  parts.scores.pop_back();
  EXPECT_EQ(Tokenizer::Create(std::move(parts)).status().code(), StatusCode::kDataLoss);
}

TEST(UnicodeNfcTest, ComposesOrdersAndKeepsWhatHasNoOtherForm) {
  EXPECT_EQ(ComposeUtf8("e\xCC\x81"), "\xC3\xA9");
  EXPECT_EQ(ComposeUtf8("\xE2\x84\xAB"), "\xC3\x85");                              // angstrom sign
  EXPECT_EQ(ComposeUtf8("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"), "\xED\x95\x9C");  // Hangul
  EXPECT_EQ(ComposeUtf8("q\xCC\x87\xCC\xA3"), "q\xCC\xA3\xCC\x87");                // marks by class
  EXPECT_EQ(ComposeUtf8(std::string_view("a\0b", 3)), std::string_view("a\0b", 3));
  EXPECT_EQ(ComposeUtf8("\xEF\xAC\x81 \xF0\x9F\x99\x82"), "\xEF\xAC\x81 \xF0\x9F\x99\x82");
}

}  // namespace
}  // namespace weir
