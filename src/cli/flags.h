// Parses one subcommand's flags, the same way for all of them.
//
// Errors    INVALID_ARGUMENT with one line: the flag at fault and, for an unknown one, the nearest that
// exists. Never
//           throws
//
//   CLI::App app("what is inside a model file", "weir inspect");
//   app.add_option("MODEL", path, "model file")->required();
//   const Result<bool> go_on = ParseFlags(app, arguments);
//   if (!go_on.has_value()) return Fail("inspect", go_on.error());
//   if (!*go_on) return 0;  // --help was asked for and printed
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir {

Result<bool> ParseFlags(CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace weir
