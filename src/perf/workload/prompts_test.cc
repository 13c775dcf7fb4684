#include "perf/workload/prompts.h"

#include <gtest/gtest.h>

#include <set>

namespace weir {
namespace {

std::string FirstWord(const std::string& text) { return text.substr(0, text.find(' ')); }

TEST(BuiltinPromptsTest, DiffersFromTheFirstWordOn) {
  ASSERT_GE(BuiltinPrompts::num_first_words(), 256);
  const BuiltinPrompts prompts(7);
  std::set<std::string> words;
  for (int i = 0; i < BuiltinPrompts::num_first_words(); ++i) {
    EXPECT_TRUE(words.insert(FirstWord(prompts.Measured(i).text)).second) << prompts.Measured(i).text;
  }
}

TEST(BuiltinPromptsTest, RepeatsNoTextBeforeTheListIsUsedUp) {
  const BuiltinPrompts prompts(1);
  std::set<std::string> texts, ids;
  for (int i = 0; i < BuiltinPrompts::num_distinct(); ++i) {
    EXPECT_TRUE(texts.insert(prompts.Measured(i).text).second) << i;
    EXPECT_TRUE(ids.insert(prompts.Measured(i).id).second) << i;
  }
  EXPECT_EQ(prompts.Measured(BuiltinPrompts::num_distinct()).text, prompts.Measured(0).text);
}

TEST(BuiltinPromptsTest, WarmsUpWithWordsNoMeasuredPromptBeginsWith) {
  const BuiltinPrompts prompts(1);
  std::set<std::string> words;
  for (int i = 0; i < BuiltinPrompts::num_first_words(); ++i) {
    words.insert(FirstWord(prompts.Measured(i).text));
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(words.contains(FirstWord(BuiltinPrompts::Warmup(i).text)));
  }
}

TEST(BuiltinPromptsTest, SeedOrdersTheSameList) {
  const BuiltinPrompts one(1), same(1), other(2);
  std::set<std::string> first, second;
  int equal = 0;
  for (int i = 0; i < BuiltinPrompts::num_first_words(); ++i) {
    EXPECT_EQ(one.Measured(i).text, same.Measured(i).text);
    equal += one.Measured(i).text == other.Measured(i).text;
    first.insert(one.Measured(i).text);
    second.insert(other.Measured(i).text);
  }
  EXPECT_LT(equal, 20);
  EXPECT_EQ(first, second);
}

TEST(RandomPromptTest, TakesOnlyOfferedIdsAndFollowsTheSeed) {
  const std::vector<TokenId> ids = {5, 9, 11};
  Rng rng(3), again(3);
  const std::vector<TokenId> prompt = RandomPrompt(ids, 200, &rng);
  ASSERT_EQ(prompt.size(), 200u);
  EXPECT_EQ(std::set<TokenId>(prompt.begin(), prompt.end()), std::set<TokenId>(ids.begin(), ids.end()));
  EXPECT_EQ(prompt, RandomPrompt(ids, 200, &again));
}

}  // namespace
}  // namespace weir
