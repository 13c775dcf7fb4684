// What the matrices of a Hugging Face directory become while they are loaded.
#pragma once

#include <string_view>

namespace weir {

enum class LoadQuantization { kNone, kQ8_0, kQ4_0, kQ4_K };

// As --quantization says it.
constexpr std::string_view LoadQuantizationName(LoadQuantization quantization) {
  switch (quantization) {
    case LoadQuantization::kNone:
      return "none";
    case LoadQuantization::kQ8_0:
      return "q8_0";
    case LoadQuantization::kQ4_0:
      return "q4_0";
    case LoadQuantization::kQ4_K:
      return "q4_k";
  }
  return "";
}

}  // namespace weir
