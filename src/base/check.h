// CHECK ends the process on a bug of ours. It is never reachable from a file, a flag or a request.
//
// CHECK is always on; DCHECK only in dev, asan and tsan builds.
#pragma once

namespace weir {

[[noreturn]] void CheckFailed(const char* expression, const char* file, int line);

}  // namespace weir

#define CHECK(condition) \
  (__builtin_expect(!!(condition), 1) ? (void)0 : ::weir::CheckFailed(#condition, __FILE__, __LINE__))

#ifdef WEIR_DCHECK_ON
#define DCHECK(condition) CHECK(condition)
#else
#define DCHECK(condition) ((void)sizeof(!(condition)))
#endif
