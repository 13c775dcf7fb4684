#include "cli/option_listing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/command.h"
#include "cli/shell_files.h"

namespace weir {
namespace {

const ListedCommand* Find(const std::vector<ListedCommand>& commands, const std::string& name) {
  const auto found =
      std::find_if(commands.begin(), commands.end(), [&](const auto& one) { return one.name == name; });
  return found == commands.end() ? nullptr : &*found;
}

TEST(OptionListingTest, AsksEveryCommandAndRunsNone) {
  const std::vector<ListedCommand> listed = ListCommands();
  for (const Command& command : Commands()) {
    const ListedCommand* one = Find(listed, std::string(command.name));
    ASSERT_NE(one, nullptr) << command.name;
    EXPECT_EQ(one->summary, command.summary);
    EXPECT_FALSE(one->options.empty()) << command.name;
  }
  EXPECT_NE(Find(listed, "runs list"), nullptr) << "its parts too";
}

TEST(OptionListingTest, KnowsNamesValuesAndChoicesButNoPlantedFault) {
  const std::vector<ListedCommand> listed = ListCommands();
  const ListedCommand* serve = Find(listed, "serve");
  ASSERT_NE(serve, nullptr);
  const auto option = [&](const std::string& flag) {
    return std::find_if(serve->options.begin(), serve->options.end(), [&](const ListedOption& one) {
      return std::find(one.flags.begin(), one.flags.end(), flag) != one.flags.end();
    });
  };
  ASSERT_NE(option("--max-num-seqs"), serve->options.end());
  EXPECT_TRUE(option("--max-num-seqs")->takes_value);
  EXPECT_FALSE(option("--insecure-no-auth")->takes_value);
  EXPECT_EQ(option("--gpu-memory-utilization"), option("--memory-utilization"));
  EXPECT_EQ(option("--tokenizer-delay"), serve->options.end());
  const ListedCommand* generate = Find(listed, "generate");
  ASSERT_NE(generate, nullptr);
  const auto& options = generate->options;
  const auto what =
      std::find_if(options.begin(), options.end(), [](const ListedOption& one) { return one.is_positional; });
  ASSERT_NE(what, options.end());
  EXPECT_EQ(what->choices.size(), 4u);
}

TEST(OptionListingTest, EveryFlagIsInEveryFile) {
  const std::vector<ListedCommand> listed = ListCommands();
  const std::string manual = ManualPage(listed), bash = BashCompletion(listed);
  const std::string zsh = ZshCompletion(listed), fish = FishCompletion(listed);
  for (const ListedCommand& command : listed) {
    for (const ListedOption& option : command.options) {
      if (option.is_positional) continue;
      for (const std::string& flag : option.flags) {
        std::string in_troff;
        for (const char c : flag) in_troff += c == '-' ? std::string("\\-") : std::string(1, c);
        EXPECT_NE(manual.find(in_troff), std::string::npos) << flag;
        EXPECT_NE(bash.find(flag), std::string::npos) << flag;
        EXPECT_NE(zsh.find("'" + flag + "["), std::string::npos) << flag;
        if (flag.starts_with("--")) {
          EXPECT_NE(fish.find(" -l " + flag.substr(2)), std::string::npos) << flag;
        }
      }
    }
  }
}

}  // namespace
}  // namespace weir
