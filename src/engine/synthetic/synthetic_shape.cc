#include "engine/synthetic/synthetic_shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/utf8.h"

namespace weir {
namespace {

// From the published configurations of the models. Context and rope scaling beyond the base frequency do not change what
// a step costs.
constexpr SyntheticShape kShapes[] = {
    {"smollm2-135m", 30, 576, 9, 3, 64, 1536, 49152, 8192, 100000.0f, true},
    {"llama-3.2-1b", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 500000.0f, true},
    {"llama-3.2-3b", 28, 3072, 24, 8, 128, 8192, 128256, 131072, 500000.0f, true},
    {"llama-3.1-8b", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 500000.0f, false},
};

struct NamedQuantization {
  std::string_view name;
  Quantization quantization;
};
constexpr NamedQuantization kQuantizations[] = {
    {"q4_k_m", Quantization::kQ4KM}, {"q8_0", Quantization::kQ8_0}, {"q4_0", Quantization::kQ4_0},
    {"q4_1", Quantization::kQ4_1},   {"bf16", Quantization::kBF16},
};

// The first and last eighth of the layers, and every third between them.
bool IsSensitiveLayer(uint32_t layer, uint32_t num_layers) {
  const uint32_t eighth = num_layers / 8;
  return layer < eighth || layer >= 7 * num_layers / 8 || (layer - eighth) % 3 == 2;
}

// What takes the place of a type whose 256 columns do not fit.
DType Fitting(DType type, uint64_t row_length) {
  if (row_length % Traits(type).block_size == 0) return type;
  return type == DType::kQ4_K ? DType::kQ5_0 : DType::kQ8_0;
}

}  // namespace

std::vector<std::string_view> SyntheticShapeNames() {
  std::vector<std::string_view> names;
  for (const SyntheticShape& shape : kShapes) names.push_back(shape.name);
  return names;
}

std::vector<std::string_view> QuantizationNames() {
  std::vector<std::string_view> names;
  for (const NamedQuantization& known : kQuantizations) names.push_back(known.name);
  return names;
}

Result<SyntheticShape> FindSyntheticShape(std::string_view name) {
  for (const SyntheticShape& shape : kShapes)
    if (shape.name == name) return shape;
  return InvalidArgument(fmt::format("--shape is '{}', expected one of: {}", QuoteForMessage(name),
                                     fmt::join(SyntheticShapeNames(), ", ")))
      .WithParam("--shape");
}

Result<Quantization> FindQuantization(std::string_view name) {
  for (const NamedQuantization& known : kQuantizations)
    if (known.name == name) return known.quantization;
  return InvalidArgument(fmt::format("--quantization is '{}', expected one of: {}", QuoteForMessage(name),
                                     fmt::join(QuantizationNames(), ", ")))
      .WithParam("--quantization");
}

DType TypeOfMatrix(Quantization quantization, MatrixRole role, uint32_t layer, uint32_t num_layers,
                   uint64_t row_length) {
  const bool is_head = role == MatrixRole::kHead;
  switch (quantization) {
    case Quantization::kBF16:
      return DType::kBF16;
    case Quantization::kQ8_0:
      return DType::kQ8_0;
    case Quantization::kQ4_0:
      return is_head ? Fitting(DType::kQ6_K, row_length) : DType::kQ4_0;
    case Quantization::kQ4_1:
      return is_head ? Fitting(DType::kQ6_K, row_length) : DType::kQ4_1;
    case Quantization::kQ4KM:
      break;
  }
  // After llama.cpp's "Q4_K - Medium", which gives files of the same sizes: the matrix that makes the logits has 6 bits, and
  // so have `v` and `down` where errors hurt most, which are the outer layers and a third of the inner ones.
  const bool is_sensitive = (role == MatrixRole::kAttentionValue || role == MatrixRole::kFeedForwardDown) &&
                            IsSensitiveLayer(layer, num_layers);
  return Fitting(is_head || is_sensitive ? DType::kQ6_K : DType::kQ4_K, row_length);
}

}  // namespace weir
