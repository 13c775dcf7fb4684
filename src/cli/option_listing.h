// What options every command takes, as the commands themselves declare them: the manual page and the shells' completions are made
// from it, so none of them can say something else than --help.
//
// Threads   one
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace weir {

struct ListedOption {
  std::vector<std::string> flags;  // "--max-num-seqs", all its names; of an argument without a flag: its name
  bool is_positional = false;
  bool takes_value = false;
  std::string text;
  std::string standard;              // its value when nothing is said; may be empty
  std::vector<std::string> choices;  // where only these are taken
};

struct ListedCommand {
  std::string name;     // of a subcommand "runs list"
  std::string summary;  // one line
  std::string text;
  std::vector<ListedOption> options;
};

// Asks each command for its options, which none then runs.
std::vector<ListedCommand> ListCommands();

// For ParseFlags(): while commands are asked, takes what this one declared. False: nobody asks.
bool TakeForListing(const CLI::App& app);

}  // namespace weir
