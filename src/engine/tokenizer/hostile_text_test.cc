// Texts that break other tokenizers: ids T1 to T5 as far as they concern encoding and decoding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <string>

#include "base/utf8.h"
#include "engine/tokenizer/detokenizer.h"
#include "engine/tokenizer/tiny_vocabulary.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// This thread's own time, so that a busy machine changes little.
double CpuMilliseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

std::string Repeat(std::string_view text, size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

std::unique_ptr<Tokenizer> Make(std::string_view pre_tokenizer) {
  return std::move(*Tokenizer::Create(TinyVocabularyOfRuns(pre_tokenizer)));
}

double EncodeMilliseconds(const Tokenizer& tokenizer, const std::string& text, std::vector<TokenId>* ids) {
  const double start = CpuMilliseconds();
  Result<std::vector<TokenId>> found = tokenizer.Encode(text, SpecialTokens::kParse, false);
  const double took = CpuMilliseconds() - start;
  EXPECT_TRUE(found.has_value());
  *ids = std::move(*found);
  return took;
}

// Only the growth is judged, at most 2.5 per doubling: eight times the text takes 64 times as long where the work is
// quadratic. `microbench/engine/tokenizer` has the speed.
TEST(HostileText, T1EncodesLongRunsInLinearTime) {
  constexpr size_t kMegabyte = 1 << 20;
  for (const char* pre_tokenizer : {"gpt-2", "llama-bpe", "qwen2", "smollm"}) {
    const auto tokenizer = Make(pre_tokenizer);
    for (const char* unit : {"a", " ", "中", "\xCC\x81", "1", " \n", "<|im_"}) {
      const std::string text = Repeat(unit, kMegabyte);
      std::vector<TokenId> ids;
      constexpr double kLimit = 2.5 * 2.5 * 2.5;
      double growth = 0;
      for (int i = 0; i < 5; ++i) {
        const double eighth = EncodeMilliseconds(*tokenizer, Repeat(unit, kMegabyte / 8), &ids);
        growth = EncodeMilliseconds(*tokenizer, text, &ids) / std::max(eighth, 0.1);
        if (growth <= kLimit) break;
      }
      EXPECT_LE(growth, kLimit) << pre_tokenizer << " 1 MB of " << QuoteForMessage(unit);
      EXPECT_EQ(tokenizer->Decode(ids, false), text) << pre_tokenizer;
    }
  }
}

TEST(HostileText, T2RefusesHugeTextBySize) {
  const auto tokenizer = Make("smollm");
  const char byte = 'a';
  // Only the size may be looked at: there is nothing behind the first byte.
  const std::string_view huge(&byte, (size_t{1} << 31) + 1);
  const Result<std::vector<TokenId>> ids = tokenizer->Encode(huge, SpecialTokens::kAsText, false);
  ASSERT_FALSE(ids.has_value());
  EXPECT_EQ(ids.error().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(ids.error().message(), HasSubstr("2147483649 bytes"));
}

TEST(HostileText, T3HandlesBrokenUnicode) {
  const auto tokenizer = Make("smollm");
  for (const char* text :
       {"a\xFF", "\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "ab\xE4\xB8"}) {
    const Result<std::vector<TokenId>> ids = tokenizer->Encode(text, SpecialTokens::kParse, false);
    ASSERT_FALSE(ids.has_value());
    EXPECT_EQ(ids.error().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(ids.error().message(), HasSubstr("not valid UTF-8"));
  }
  const std::string nul("a\0b", 3);
  const Result<std::vector<TokenId>> ids = tokenizer->Encode(nul, SpecialTokens::kAsText, false);
  ASSERT_TRUE(ids.has_value());
  EXPECT_THAT(*ids, ElementsAre('a', 0, 'b'));
  EXPECT_EQ(tokenizer->Decode(*ids, true), nul);
}

TEST(HostileText, T5NeverSplitsCharacters) {
  const auto tokenizer = Make("smollm");
  // One token per byte: every character beyond ASCII spans two to four tokens.
  const std::string text = "é中😀e\xCC\x81👩‍👩‍👧";
  const std::vector<std::string> stops = {"", "👧", "\xCC\x81", "😀e", "never"};
  for (const std::string& stop : stops) {
    for (size_t cut = 0; cut <= text.size(); ++cut) {
      Detokenizer detokenizer(*tokenizer, {stop}, true);
      std::vector<TokenId> ids;
      std::string joined;
      for (size_t i = 0; i < cut; ++i) {
        ids.push_back(static_cast<uint8_t>(text[i]));
        const std::string delta = detokenizer.Add(ids.back());
        EXPECT_TRUE(IsValidUtf8(delta));
        joined += delta;
      }
      joined += detokenizer.Finish();
      EXPECT_TRUE(IsValidUtf8(joined));
      std::string expected = tokenizer->Decode(ids, true);
      const size_t found = stop.empty() ? std::string::npos : expected.find(stop);
      EXPECT_EQ(detokenizer.stopped(), found != std::string::npos);
      EXPECT_EQ(joined, expected.substr(0, found));
    }
  }
}

}  // namespace
}  // namespace weir
