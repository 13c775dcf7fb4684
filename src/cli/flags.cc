#include "cli/flags.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "cli/command.h"
#include "cli/option_listing.h"

namespace weir {
namespace {

std::vector<std::string> FlagNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

// What the parser could not place: an unknown flag if there is one, because its value then lies around as
// well.
Status Unplaced(const CLI::App& app, const std::vector<std::string>& rest) {
  const auto flag =
      std::find_if(rest.begin(), rest.end(), [](const std::string& text) { return text.starts_with("-"); });
  const std::string help = fmt::format("'{} --help' lists what it takes", app.get_name());
  if (flag == rest.end()) {
    return InvalidArgument(fmt::format("unexpected argument '{}'; {}", QuoteForMessage(rest.front()), help));
  }
  const std::string name = flag->substr(0, flag->find('='));
  const std::string nearest = NearestName(name, FlagNames(app));
  return InvalidArgument(fmt::format("unknown flag '{}'; {}", QuoteForMessage(name),
                                     nearest.empty() ? help : fmt::format("did you mean '{}'?", nearest)));
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

Result<bool> ParseFlags(CLI::App& app, const std::vector<std::string>& arguments) {
  if (TakeForListing(app)) return false;
  try {
    std::vector<std::string> reversed(arguments.rbegin(),
                                      arguments.rend());  // the order the library takes them in
    app.parse(reversed);
    return true;
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return false;
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> rest = app.remaining();
    if (!rest.empty()) return Unplaced(app, rest);
    return InvalidArgument(
        fmt::format("{}; '{} --help' lists what it takes", OneLine(error.what()), app.get_name()));
  } catch (const std::exception& error) {
    return InvalidArgument(OneLine(error.what()));
  }
}

}  // namespace weir
