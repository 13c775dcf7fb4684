#include "cli/option_listing.h"

#include <algorithm>

#include "cli/command.h"

namespace weir {
namespace {

std::vector<ListedCommand>* listing = nullptr;  // while commands are asked

// "TEXT:{list,show}" -> list, show
std::vector<std::string> ChoicesOf(const std::string& type) {
  const size_t open = type.find('{');
  const size_t close = type.rfind('}');
  std::vector<std::string> choices;
  if (open == std::string::npos || close == std::string::npos || close < open) return choices;
  for (size_t from = open + 1; from <= close;) {
    const size_t to = std::min(type.find(',', from), close);
    choices.push_back(type.substr(from, to - from));
    from = to + 1;
  }
  return choices;
}

ListedOption Listed(const CLI::Option& option) {
  ListedOption out;
  for (const std::string& name : option.get_lnames()) out.flags.push_back("--" + name);
  for (const std::string& name : option.get_snames()) out.flags.push_back("-" + name);
  out.is_positional = out.flags.empty();
  if (out.is_positional) out.flags.push_back(option.get_name());
  out.takes_value = option.get_expected_max() != 0;
  out.text = option.get_description();
  out.standard = option.get_default_str();
  out.choices = ChoicesOf(option.get_type_name());
  return out;
}

void List(const CLI::App& app, const std::string& name, const std::string& summary) {
  ListedCommand command{.name = name, .summary = summary, .text = app.get_description(), .options = {}};
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_group().empty()) command.options.push_back(Listed(*option));
  }
  listing->push_back(std::move(command));
  for (const CLI::App* part : app.get_subcommands([](const CLI::App*) { return true; }))
    List(*part, name + " " + part->get_name(), part->get_description());
}

}  // namespace

bool TakeForListing(const CLI::App& app) {
  if (listing == nullptr) return false;
  const std::string name = app.get_name().substr(std::string("weir ").size());
  std::string summary;
  for (const Command& command : Commands()) {
    if (command.name == name) summary = command.summary;
  }
  List(app, name, summary);
  return true;
}

std::vector<ListedCommand> ListCommands() {
  std::vector<ListedCommand> out;
  listing = &out;
  for (const Command& command : Commands()) command.run({});
  listing = nullptr;
  return out;
}

}  // namespace weir
