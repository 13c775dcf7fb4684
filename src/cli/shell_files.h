// The manual page and the completions of bash, zsh and fish, made from what the commands declare.
#pragma once

#include <span>
#include <string>

#include "cli/option_listing.h"

namespace weir {

std::string ManualPage(std::span<const ListedCommand> commands);  // troff, section 1
std::string BashCompletion(std::span<const ListedCommand> commands);
std::string ZshCompletion(std::span<const ListedCommand> commands);
std::string FishCompletion(std::span<const ListedCommand> commands);

}  // namespace weir
