#include "cli/shell_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>
#include <vector>

namespace weir {
namespace {

constexpr std::string_view kMade = "made by 'weir generate'; do not edit";

std::string Replaced(std::string text, std::string_view what, std::string_view by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
  return text;
}

// A line that begins with a dot or a quote would be a command.
std::string InTroff(std::string text) {
  text = Replaced(Replaced(std::move(text), "\\", "\\e"), "-", "\\-");
  if (text.starts_with('.') || text.starts_with('\'')) text.insert(0, "\\&");
  text = Replaced(Replaced(std::move(text), "\n.", "\n\\&."), "\n'", "\n\\&'");
  return Replaced(std::move(text), "\n", "\n.br\n");
}

std::string OneLine(std::string text) { return Replaced(std::move(text), "\n", " "); }
std::string InQuotes(std::string text) { return Replaced(OneLine(std::move(text)), "'", "'\\''"); }

std::vector<std::string> FlagsOf(const ListedCommand& command) {
  std::vector<std::string> flags;
  for (const ListedOption& option : command.options) {
    if (!option.is_positional) flags.insert(flags.end(), option.flags.begin(), option.flags.end());
  }
  return flags;
}

bool IsPart(const ListedCommand& command) { return command.name.find(' ') != std::string::npos; }

std::vector<std::string> PartsOf(std::span<const ListedCommand> commands, const std::string& name) {
  std::vector<std::string> parts;
  for (const ListedCommand& command : commands) {
    if (command.name.starts_with(name + " ")) parts.push_back(command.name.substr(name.size() + 1));
  }
  return parts;
}

std::vector<std::string> NamesOf(std::span<const ListedCommand> commands) {
  std::vector<std::string> names;
  for (const ListedCommand& command : commands) {
    if (!IsPart(command)) names.push_back(command.name);
  }
  return names;
}

// Of its arguments without a flag, those that are one of a few words.
std::vector<std::string> WordsOf(std::span<const ListedCommand> commands, const ListedCommand& command) {
  std::vector<std::string> words = PartsOf(commands, command.name);
  for (const ListedOption& option : command.options) {
    if (option.is_positional) words.insert(words.end(), option.choices.begin(), option.choices.end());
  }
  return words;
}

}  // namespace

std::string ManualPage(std::span<const ListedCommand> commands) {
  std::string out = fmt::format(
      ".\\\" {}\n.TH WEIR 1\n.SH NAME\nweir \\- serve large language models and measure how well they are "
      "served\n.SH SYNOPSIS\n.B weir\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.SH COMMANDS\n",
      kMade);
  for (const ListedCommand& command : commands) {
    if (!IsPart(command))
      out += fmt::format(".TP\n.B {}\n{}\n", InTroff(command.name), InTroff(command.summary));
  }
  for (const ListedCommand& command : commands) {
    out += fmt::format(".SH \"WEIR {}\"\n{}\n", InTroff(command.name), InTroff(command.text));
    for (const ListedOption& option : command.options) {
      out += fmt::format(
          ".TP\n.B {}{}\n{}{}\n", InTroff(fmt::format("{}", fmt::join(option.flags, ", "))),
          option.takes_value && !option.is_positional ? " \\fIVALUE\\fR" : "", InTroff(option.text),
          option.standard.empty() ? "" : fmt::format(" (standard: {})", InTroff(OneLine(option.standard))));
      if (!option.choices.empty())
        out += fmt::format("One of: {}.\n", InTroff(fmt::format("{}", fmt::join(option.choices, ", "))));
    }
  }
  out +=
      ".SH ENVIRONMENT\nEvery option of \\fBweir serve\\fR may also stand in a variable (WEIR_MAX_NUM_SEQS "
      "for "
      "\\-\\-max\\-num\\-seqs) or in the table [serve] of the file that \\-\\-config names. A standard value "
      "gives "
      "way to the file, the file to the environment, the environment to the flag.\n"
      ".SH \"EXIT STATUS\"\n0 ok, 1 failed, 2 usage, 3 bad input file, 4 unreachable or unavailable, 5 "
      "inconclusive, 130 interrupted.\n";
  return out;
}

std::string BashCompletion(std::span<const ListedCommand> commands) {
  std::string out = fmt::format("# bash completion of weir; {}\n_weir() {{\n", kMade);
  out +=
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  local command=\"${COMP_WORDS[1]}\" flags= words= choices=\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n";
  out +=
      fmt::format("    COMPREPLY=($(compgen -W '{} --help --version' -- \"$current\"))\n    return\n  fi\n",
                  fmt::join(NamesOf(commands), " "));
  for (const ListedCommand& command : commands) {
    if (IsPart(command))
      out += fmt::format("  [ \"$command ${{COMP_WORDS[2]}}\" = '{}' ] && command='{}'\n", command.name,
                         command.name);
  }
  out += "  case \"$command\" in\n";
  for (const ListedCommand& command : commands) {
    out += fmt::format("    '{}')\n      flags='{}'\n      words='{}'\n", command.name,
                       fmt::join(FlagsOf(command), " "), fmt::join(WordsOf(commands, command), " "));
    std::string cases;
    for (const ListedOption& option : command.options) {
      if (option.is_positional || option.choices.empty()) continue;
      cases +=
          fmt::format(" {}) choices='{}' ;;", fmt::join(option.flags, "|"), fmt::join(option.choices, " "));
    }
    if (!cases.empty()) out += fmt::format("      case \"$previous\" in{} esac\n", cases);
    out += "      ;;\n";
  }
  out +=
      "  esac\n"
      "  if [ -n \"$choices\" ]; then\n"
      "    COMPREPLY=($(compgen -W \"$choices\" -- \"$current\"))\n"
      "  elif [ \"${current#-}\" != \"$current\" ]; then\n"
      "    COMPREPLY=($(compgen -W \"$flags\" -- \"$current\"))\n"
      "  else\n"
      "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\") $(compgen -f -- \"$current\"))\n"
      "  fi\n"
      "}\n"
      "complete -o filenames -F _weir weir\n";
  return out;
}

std::string ZshCompletion(std::span<const ListedCommand> commands) {
  // Within one argument of _arguments a colon and brackets have a meaning.
  const auto escaped = [](std::string text) {
    text = Replaced(InQuotes(std::move(text)), "[", "\\[");
    return Replaced(Replaced(std::move(text), "]", "\\]"), ":", "\\:");
  };
  std::string out =
      fmt::format("#compdef weir\n# {}\n_weir() {{\n  local -a commands\n  commands=(\n", kMade);
  for (const ListedCommand& command : commands) {
    if (!IsPart(command)) out += fmt::format("    '{}:{}'\n", command.name, escaped(command.summary));
  }
  out +=
      "  )\n  if (( CURRENT == 2 )); then\n    _describe 'command' commands\n    return\n  fi\n"
      "  local command=$words[2]\n";
  for (const ListedCommand& command : commands) {
    if (IsPart(command))
      out +=
          fmt::format("  [[ \"$command $words[3]\" == '{}' ]] && command='{}'\n", command.name, command.name);
  }
  out += "  shift words\n  (( CURRENT-- ))\n  case $command in\n";
  for (const ListedCommand& command : commands) {
    out += fmt::format("    '{}')\n      _arguments", command.name);
    for (const ListedOption& option : command.options) {
      if (option.is_positional) continue;
      for (const std::string& flag : option.flags) {
        const std::string value = !option.takes_value ? ""
                                  : option.choices.empty()
                                      ? ":value:_files"
                                      : fmt::format(":value:({})", fmt::join(option.choices, " "));
        out += fmt::format(" \\\n        '{}[{}]{}'", flag, escaped(option.text), value);
      }
    }
    const std::vector<std::string> words = WordsOf(commands, command);
    out += words.empty() ? " \\\n        '*:file:_files'\n"
                         : fmt::format(" \\\n        '1:what:({})' \\\n        '*:file:_files'\n",
                                       fmt::join(words, " "));
    out += "      ;;\n";
  }
  out += "  esac\n}\n_weir \"$@\"\n";
  return out;
}

std::string FishCompletion(std::span<const ListedCommand> commands) {
  std::string out = fmt::format("# fish completion of weir; {}\n", kMade);
  for (const ListedCommand& command : commands) {
    if (!IsPart(command))
      out += fmt::format("complete -c weir -n __fish_use_subcommand -f -a '{}' -d '{}'\n", command.name,
                         InQuotes(command.summary));
  }
  for (const ListedCommand& command : commands) {
    const std::string root = command.name.substr(0, command.name.find(' '));
    std::string when = fmt::format("__fish_seen_subcommand_from {}", root);
    if (IsPart(command))
      when += fmt::format("; and __fish_seen_subcommand_from {}", command.name.substr(root.size() + 1));
    for (const std::string& word : WordsOf(commands, command))
      out += fmt::format("complete -c weir -n '{}' -f -a '{}'\n", when, word);
    for (const ListedOption& option : command.options) {
      if (option.is_positional) continue;
      out += fmt::format("complete -c weir -n '{}'", when);
      for (const std::string& flag : option.flags)
        out += flag.starts_with("--") ? " -l " + flag.substr(2) : " -s " + flag.substr(1);
      if (option.takes_value) out += " -r";
      if (!option.choices.empty()) out += fmt::format(" -f -a '{}'", fmt::join(option.choices, " "));
      out += fmt::format(" -d '{}'\n", InQuotes(option.text));
    }
  }
  return out;
}

}  // namespace weir
