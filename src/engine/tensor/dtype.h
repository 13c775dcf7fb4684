// Element types of tensors, with the numbers that GGUF gives them.
//
// Units     sizes in bytes; a block holds `block_size` consecutive elements of a row
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir {

enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
};

struct DTypeTraits {
  DType dtype;
  std::string_view name;  // "Q4_1"
  uint32_t block_size;    // elements
  uint32_t block_bytes;
};

// Null for a number that no supported type has.
const DTypeTraits* FindDType(uint32_t gguf_type);
const DTypeTraits& Traits(DType dtype);
// "F32 F16 Q4_0 ...": what FindDType knows, for messages.
std::string_view SupportedDTypes();

}  // namespace weir
