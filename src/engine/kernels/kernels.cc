#include "engine/kernels/kernels.h"

#include <cpuid.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

namespace weir {

extern const KernelTable kGenericKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512VnniKernels;
extern const PromptKernels kAmxPrompts;
extern const AttentionKernel kAmxPromptAttention;
extern const PromptKernels kAvx512Bf16Prompts;
extern const AttentionKernel kAvx512Bf16PromptAttention;
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

bool HasAvx512Bf16() { return HasAvx512Vnni() && __builtin_cpu_supports("avx512bf16"); }

// The kernel gives a process the tiles' 8 KB of register state when it asks, and refuses where it cannot.
bool HasAmx() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!HasAvx512Bf16() || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kTilesAndBf16 = 1u << 24 | 1u << 22;
  if ((d & kTilesAndBf16) != kTilesAndBf16) return false;
  static const bool allowed = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return allowed;
}

// All but the attention and the products of prompts runs on VNNI.
const KernelTable& Avx512Bf16Kernels() {
  static const KernelTable table = [] {
    KernelTable bf16 = kAvx512VnniKernels;
    bf16.name = "avx512bf16";
    bf16.prompts = &kAvx512Bf16Prompts;
    bf16.prompt_attention = kAvx512Bf16PromptAttention;
    return bf16;
  }();
  return table;
}

// The same on tiles.
const KernelTable& AmxKernels() {
  static const KernelTable table = [] {
    KernelTable amx = kAvx512VnniKernels;
    amx.name = "amx";
    amx.prompts = &kAmxPrompts;
    amx.prompt_attention = kAmxPromptAttention;
    return amx;
  }();
  return table;
}

const KnownPath kPaths[] = {
    {&kGenericKernels, [] { return true; }}, {&kAvx2Kernels, HasAvx2}, {&kAvx512VnniKernels, HasAvx512Vnni},
    {&Avx512Bf16Kernels(), HasAvx512Bf16},   {&AmxKernels(), HasAmx},
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

const Bf16Probe* FindBf16Probe() { return HasAvx512Bf16() ? &kAvx512Bf16Probe : nullptr; }

}  // namespace weir
