#include "engine/tensor/dtype.h"

#include <array>

#include "base/check.h"

namespace weir {
namespace {

constexpr std::array<DTypeTraits, 15> kTraits = {{
    {DType::kF32, "F32", 1, 4},
    {DType::kF16, "F16", 1, 2},
    {DType::kQ4_0, "Q4_0", 32, 18},
    {DType::kQ4_1, "Q4_1", 32, 20},
    {DType::kQ5_0, "Q5_0", 32, 22},
    {DType::kQ5_1, "Q5_1", 32, 24},
    {DType::kQ8_0, "Q8_0", 32, 34},
    {DType::kQ2_K, "Q2_K", 256, 84},
    {DType::kQ3_K, "Q3_K", 256, 110},
    {DType::kQ4_K, "Q4_K", 256, 144},
    {DType::kQ5_K, "Q5_K", 256, 176},
    {DType::kQ6_K, "Q6_K", 256, 210},
    {DType::kIQ4_NL, "IQ4_NL", 32, 18},
    {DType::kIQ4_XS, "IQ4_XS", 256, 136},
    {DType::kBF16, "BF16", 1, 2},
}};

}  // namespace

const DTypeTraits* FindDType(uint32_t gguf_type) {
  for (const DTypeTraits& traits : kTraits) {
    if (static_cast<uint32_t>(traits.dtype) == gguf_type) return &traits;
  }
  return nullptr;
}

const DTypeTraits& Traits(DType dtype) {
  const DTypeTraits* traits = FindDType(static_cast<uint32_t>(dtype));
  CHECK(traits != nullptr);  // a DType value only ever comes from FindDType or from our own code
  return *traits;
}

std::string_view SupportedDTypes() {
  return "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS";
}

}  // namespace weir
