#include "base/version.h"

#include "version_generated.h"

namespace weir {

std::string_view Version() { return WEIR_VERSION; }
std::string_view Commit() { return WEIR_COMMIT; }
std::string_view Compiler() { return __VERSION__; }
std::string_view BuildType() { return WEIR_CXX_FLAGS; }

}  // namespace weir
