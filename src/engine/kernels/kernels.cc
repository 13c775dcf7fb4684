#include "engine/kernels/kernels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>

namespace weir {

extern const KernelTable kGenericKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512VnniKernels;
extern const Bf16Probe kAvx512Bf16Probe;

namespace {

struct KnownPath {
  const KernelTable* table;
  bool (*supported)();
};

bool HasAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool HasAvx512Vnni() {
  return HasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

const KnownPath kPaths[] = {
    {&kGenericKernels, [] { return true; }},
    {&kAvx2Kernels, HasAvx2},
    {&kAvx512VnniKernels, HasAvx512Vnni},
};

}  // namespace

std::vector<std::string_view> KnownKernelPaths() {
  std::vector<std::string_view> names;
  for (const KnownPath& path : kPaths) names.emplace_back(path.table->name);
  return names;
}

bool CpuSupports(std::string_view name) {
  for (const KnownPath& path : kPaths)
    if (path.table->name == name) return path.supported();
  return false;
}

Result<const KernelTable*> SelectKernels(std::string_view name) {
  std::string_view source = "the kernel path";
  if (name.empty()) {
    const char* variable = std::getenv("WEIR_ISA");
    if (variable != nullptr) name = variable;
    source = "WEIR_ISA";
  }
  const KernelTable* fastest = nullptr;
  std::vector<std::string_view> available;
  for (const KnownPath& path : kPaths) {
    if (!path.supported()) continue;
    fastest = path.table;
    available.emplace_back(path.table->name);
    if (path.table->name == name) return path.table;
  }
  if (name.empty()) return fastest;
  return InvalidArgument(fmt::format("{} asks for \"{}\", but this CPU and build offer: {}", source, name,
                                     fmt::join(available, ", ")));
}

const Bf16Probe* FindBf16Probe() {
  return HasAvx512Vnni() && __builtin_cpu_supports("avx512bf16") ? &kAvx512Bf16Probe : nullptr;
}

}  // namespace weir
