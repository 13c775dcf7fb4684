// A flag with a few named values, whose help and errors show the names and nothing else.
//
// Requires  `value` outlives the parse; its initial value is the default
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

namespace weir {

template <typename T>
CLI::Option* AddChoice(CLI::App& app, const std::string& flag, T* value,
                       const std::vector<std::pair<std::string, T>>& choices, const std::string& help) {
  std::vector<std::string> names;
  std::string standard;
  for (const auto& [name, meaning] : choices) {
    names.push_back(name);
    if (meaning == *value) standard = name;
  }
  CLI::Option* option = app.add_option_function<std::string>(
      flag,
      [value, choices](const std::string& text) {
        for (const auto& [name, meaning] : choices) {
          if (name == text) *value = meaning;
        }
      },
      help);
  option->check(CLI::IsMember(names))->type_name("NAME");
  if (!standard.empty()) option->default_str(standard);
  return option;
}

}  // namespace weir
