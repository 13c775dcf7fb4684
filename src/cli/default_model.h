// Which model file a command uses when none is named: the one that tools/get_model.sh keeps.
//
// Errors    NOT_FOUND with what to run
#pragma once

#include <string>

#include "base/result.h"

namespace weir {

// ${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}: the folder of everything that can be fetched again.
std::string CacheFolder();
// `argument` itself unless it is empty; then $WEIR_MODEL, then the default model in the cache.
Result<std::string> FindModel(const std::string& argument);

}  // namespace weir
