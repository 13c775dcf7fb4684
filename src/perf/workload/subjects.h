// First words of the built-in prompts, all different.
#pragma once

#include <span>

namespace weir {

std::span<const char* const> Subjects();

}  // namespace weir
