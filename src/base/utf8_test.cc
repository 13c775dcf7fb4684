#include "base/utf8.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Utf8Test, AcceptsEveryScalarValueAndNothingElse) {
  for (int32_t code_point = 0; code_point <= 0x10FFFF; code_point += code_point < 0x3000 ? 1 : 251) {
    if (code_point >= 0xD800 && code_point <= 0xDFFF) continue;
    std::string text;
    AppendUtf8(code_point, &text);
    size_t position = 0;
    ASSERT_EQ(NextCodePoint(text, &position), code_point);
    ASSERT_EQ(position, text.size());
  }
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xF5", "\xE2\x82", "\xFF"}) {
    EXPECT_FALSE(IsValidUtf8(bad));
  }
}

TEST(Utf8Test, FindsTheUnfinishedTail) {
  const std::string text = "a\xE2\x82\xAC";  // a and the euro sign
  EXPECT_EQ(CompleteUtf8Prefix(text), 4u);
  EXPECT_EQ(CompleteUtf8Prefix(text.substr(0, 3)), 1u);
  EXPECT_EQ(CompleteUtf8Prefix(text.substr(0, 2)), 1u);
  EXPECT_EQ(CompleteUtf8Prefix("\xFF"), 1u);  // cannot become valid, so it is not held back
}

TEST(Utf8Test, ReplacesEachMaximalInvalidPartOnce) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xE2\x82z"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(ReplaceInvalidUtf8("\xFF\xFF"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(ReplaceInvalidUtf8("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F");
}

TEST(Utf8Test, QuotesControlBytesAndCuts) {
  EXPECT_EQ(QuoteForMessage("a\nb"), "a\\x0ab");
  EXPECT_EQ(QuoteForMessage("\x1b[31m"), "\\x1b[31m");
  EXPECT_LE(QuoteForMessage(std::string(1000, 'x')).size(), 68u);
}

}  // namespace
}  // namespace weir
