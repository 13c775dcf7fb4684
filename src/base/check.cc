#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace weir {

void CheckFailed(const char* expression, const char* file, int line) {
  std::fprintf(stderr,
               "weir: internal error: CHECK(%s) failed at %s:%d; please report this with the command line\n",
               expression, file, line);
  std::abort();
}

}  // namespace weir
