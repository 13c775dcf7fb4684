#include "cli/command.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>

#include "base/log.h"
#include "base/version.h"
#include "cli/bench.h"
#include "cli/chat.h"
#include "cli/compare.h"
#include "cli/config.h"
#include "cli/doctor.h"
#include "cli/generate.h"
#include "cli/inspect.h"
#include "cli/load.h"
#include "cli/pull.h"
#include "cli/report.h"
#include "cli/run.h"
#include "cli/runs.h"
#include "cli/serve.h"

namespace weir {
namespace {

void PrintHelp() {
  fmt::print(
      "weir serves large language models and measures how well it serves them.\n\n"
      "Usage: weir COMMAND [OPTIONS]\n\n");
  for (const Command& command : Commands()) fmt::print("  {:<9} {}\n", command.name, command.summary);
  fmt::print(
      "\nweir COMMAND --help lists the options of a command; weir --version says what this binary is.\n"
      "Exit codes: 0 ok, 1 failed, 2 usage, 3 bad input file, 4 unreachable or unavailable, 5 inconclusive,\n"
      "130 interrupted.\n");
}

}  // namespace

std::vector<Command> Commands() {
  return {
      {"run", "the whole study: benchmark, broken server, repaired server, report", RunStudyCommand},
      {"serve", "serve a model over an OpenAI-compatible API", RunServe},
      {"bench", "measure the engine directly", RunBench},
      {"load", "measure an OpenAI-compatible server under load", RunLoad},
      {"report", "turn result files into Markdown, HTML and JSON", RunReport},
      {"compare", "is B slower than A? two result files or two commands", RunCompare},
      {"runs", "list, show and forget earlier runs", RunRuns},
      {"chat", "talk to a model in the terminal", RunChat},
      {"pull", "fetch a model file by URL", RunPull},
      {"inspect", "what is inside a model file, and how much memory it takes", RunInspect},
      {"config", "check a configuration file of weir serve", RunConfig},
      {"generate", "the manual page, and completions for bash, zsh and fish", RunGenerate},
      {"doctor", "what this machine can do: instructions, bandwidth, memory", RunDoctor},
  };
}

int Main(int argc, char** argv) {
  // A reader that goes away (`weir inspect | head`) or a client that hangs up is an error code, not a death.
  std::signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (arguments.empty()) {
    PrintHelp();
    return ExitCode(InvalidArgument(""));
  }
  if (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    PrintHelp();
    return 0;
  }
  if (arguments[0] == "--version") {
    fmt::print("weir {} ({}, compiler {}, flags {})\n", Version(), Commit(), Compiler(), BuildType());
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : Commands()) {
    if (command.name == arguments[0]) {
      const int code = command.run(std::vector<std::string>(arguments.begin() + 1, arguments.end()));
      std::fflush(stdout);
      FlushLog();
      return code;
    }
    names.emplace_back(command.name);
  }
  const std::string nearest = NearestName(arguments[0], names);
  const std::string hint =
      nearest.empty() ? "run 'weir --help' for the list" : fmt::format("did you mean '{}'?", nearest);
  fmt::print(stderr, "weir: unknown command '{}'; {}\n", arguments[0], hint);
  return ExitCode(InvalidArgument(""));
}

}  // namespace weir
