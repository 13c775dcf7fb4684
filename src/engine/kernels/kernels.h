// Which table of kernels runs on this machine.
//
// Errors    INVALID_ARGUMENT for an unknown path, or one that this CPU lacks; the message lists those it has
// Threads   pure functions
// Source    docs/KERNELS.md, "Dispatch"
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/kernels/isa_abi.h"

namespace weir {

// Paths this build has, slowest first: "generic", "avx2", "avx512vnni", "avx512bf16", "amx".
std::vector<std::string_view> KnownKernelPaths();
bool CpuSupports(std::string_view path);

// The named path; "" takes the variable WEIR_ISA, and without one the fastest that the CPU has.
Result<const KernelTable*> SelectKernels(std::string_view path);

// Null when this CPU has no bf16 dot product.
const Bf16Probe* FindBf16Probe();

}  // namespace weir
