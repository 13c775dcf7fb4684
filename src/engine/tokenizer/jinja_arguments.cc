#include "engine/tokenizer/jinja_arguments.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_heap.h"

namespace weir {

Status CheckJinjaArguments(std::string_view kind, std::string_view name, std::string_view parameters,
                           const JinjaArguments& arguments) {
  if (parameters == "*") return OkStatus();
  std::vector<std::string_view> names;
  for (std::string_view rest = parameters; !rest.empty();) {
    const size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view one = rest.substr(0, end);
    if (one == "/") {
      std::fill(names.begin(), names.end(), std::string_view());
    } else {
      names.push_back(one);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (arguments.positional.size() > names.size()) {
    return JinjaError(fmt::format("the {} \"{}\" takes at most {} arguments, not {}", kind, name,
                                  names.size(), arguments.positional.size()));
  }
  for (const auto& [given, value] : arguments.named) {
    const auto found = std::find(names.begin(), names.end(), given);
    if (given.empty() || found == names.end()) {
      return JinjaError(
          fmt::format("the {} \"{}\" does not know the argument \"{}\"", kind, name, QuoteForMessage(given)));
    }
    if (static_cast<size_t>(found - names.begin()) < arguments.positional.size())
      return JinjaError(fmt::format("the {} \"{}\" is given \"{}\" twice", kind, name, given));
  }
  return OkStatus();
}

}  // namespace weir
