// One subcommand of weir: `cli/<name>.{h,cc}` defines it, the table in main.cc lists it.
//
// Errors    Run() returns the process's exit code, through ExitCode(); it has printed the error already
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir {

struct Command {
  std::string_view name;
  std::string_view summary;  // one line for `weir --help`
  int (*run)(const std::vector<std::string>& arguments);
};

// All subcommands, in the order of `weir --help`.
std::vector<Command> Commands();
// The whole program: finds the command, suggests the nearest name for an unknown one.
int Main(int argc, char** argv);

// design: 0 ok, 1 failed, 2 usage, 3 bad input file, 4 unreachable or unavailable, 5 inconclusive, 130 interrupted.
int ExitCode(const Status& status);
// Prints "weir <command>: <message>" to stderr and returns ExitCode(status).
int Fail(std::string_view command, const Status& status);
// The known name closest to `text`, or empty when none is close.
std::string NearestName(std::string_view text, const std::vector<std::string>& known);

}  // namespace weir
