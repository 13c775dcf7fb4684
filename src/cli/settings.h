// Every option of a command as a flag, an environment variable and a key of a TOML file: --max-num-seqs is
// WEIR_MAX_NUM_SEQS and max_num_seqs in the table of the command. A default gives way to the file, the file to the
// environment, the environment to the flag.
//
// Requires  the command line was parsed by the same app, which outlives this
// Errors    INVALID_ARGUMENT that names where the value stands: the file with its line, or the variable
// Threads   one
//
// There is one table of options, the app's: what it knows, all three know.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/toml_file.h"

namespace weir {

class Settings {
 public:
  // `table`: of the command in the file. `flags_only`: options that have neither key nor variable.
  Settings(CLI::App* app, std::string table, std::set<std::string> flags_only);

  // Gives the options that the command line left alone what the environment and then the file say.
  Status TakeEnvironment();
  Status TakeFile(const TomlFile& file);

  // The same error, with the place of the option that it is about.
  Status Locate(const Status& status) const;
  // Valid TOML: every option with its value, and where that came from.
  std::string Render() const;
  // Key of an option to its value in TOML.
  std::map<std::string, std::string> Values() const;

 private:
  Status Take(CLI::Option* option, const std::vector<std::string>& values, const std::string& source);
  CLI::Option* Find(const std::string& key) const;
  std::vector<CLI::Option*> Options() const;
  std::string SourceOf(const CLI::Option* option) const;

  CLI::App* app_;
  std::string table_;
  std::set<std::string> flags_only_;
  std::map<const CLI::Option*, std::string> sources_;  // of those from file or environment
};

}  // namespace weir
