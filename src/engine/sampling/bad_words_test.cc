#include "engine/sampling/bad_words.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

std::vector<int32_t> Forbidden(const std::vector<std::vector<int32_t>>& words, std::vector<int32_t> output) {
  std::vector<int32_t> out;
  AppendBadWordEnds(words, output, &out);
  return out;
}

TEST(BadWordsTest, OneTokenIsAlwaysForbidden) {
  EXPECT_EQ(Forbidden({{7}}, {}), std::vector<int32_t>{7});
  EXPECT_EQ(Forbidden({{7}}, {1, 2}), std::vector<int32_t>{7});
}

TEST(BadWordsTest, TheLastTokenIsForbiddenOnlyBehindTheOthers) {
  const std::vector<std::vector<int32_t>> words = {{1, 2, 3}, {2, 9}};
  EXPECT_EQ(Forbidden(words, {}), std::vector<int32_t>{});
  EXPECT_EQ(Forbidden(words, {1}), std::vector<int32_t>{});
  EXPECT_EQ(Forbidden(words, {1, 2}), (std::vector<int32_t>{3, 9}));
  EXPECT_EQ(Forbidden(words, {5, 2}), std::vector<int32_t>{9});
  EXPECT_EQ(Forbidden(words, {1, 2, 5}), std::vector<int32_t>{});
}

TEST(BadWordsTest, AnEmptyWordForbidsNothing) { EXPECT_EQ(Forbidden({{}}, {1}), std::vector<int32_t>{}); }

}  // namespace
}  // namespace weir
