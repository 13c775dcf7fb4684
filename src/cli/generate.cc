#include "cli/generate.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/shell_files.h"

namespace weir {

int RunGenerate(const std::vector<std::string>& arguments) {
  CLI::App app("Prints the manual page, or what makes a shell complete weir's commands and options.",
               "weir generate");
  std::string what;
  app.add_option("WHAT", what, "what to print")
      ->required()
      ->check(CLI::IsMember({"man", "bash", "zsh", "fish"}));
  const Result<bool> go_on = ParseFlags(app, arguments);
  if (!go_on.has_value()) return Fail("generate", go_on.error());
  if (!*go_on) return 0;
  const std::vector<ListedCommand> commands = ListCommands();
  fmt::print("{}", what == "man"    ? ManualPage(commands)
                   : what == "bash" ? BashCompletion(commands)
                   : what == "zsh"  ? ZshCompletion(commands)
                                    : FishCompletion(commands));
  return 0;
}

}  // namespace weir
