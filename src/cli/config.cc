#include "cli/config.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/serve_flags.h"

namespace weir {

int RunConfig(const std::vector<std::string>& arguments) {
  CLI::App app("check a configuration file without starting anything", "weir config");
  std::string action;
  std::string path;
  app.add_option("ACTION", action, "check")->required()->check(CLI::IsMember({"check"}));
  app.add_option("FILE", path, "TOML file for weir serve --config")->required();
  const Result<bool> go_on = ParseFlags(app, arguments);
  if (!go_on.has_value()) return Fail("config", go_on.error());
  if (!*go_on) return 0;
  if (const Status status = CheckServeConfig(path); !status.ok()) return Fail("config", status);
  fmt::print("{}: sound\n", path);
  return 0;
}

}  // namespace weir
