// Shapes of known models, and which type each of their matrices has under a quantization.
//
// Errors    INVALID_ARGUMENT naming the choices
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Synthetic weights"
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/tensor/dtype.h"

namespace weir {

struct SyntheticShape {
  std::string_view name;
  uint32_t num_layers;
  uint32_t hidden_size;
  uint32_t num_heads;
  uint32_t num_kv_heads;
  uint32_t head_dim;
  uint32_t ffn_size;
  uint32_t vocab_size;
  uint32_t max_context;
  float rope_theta;
  bool tied_embeddings;
};

enum class Quantization { kQ4KM, kQ8_0, kQ4_0, kQ4_1, kBF16 };
// What a matrix does, as far as a mix of types distinguishes.
enum class MatrixRole { kEmbedding, kHead, kAttentionValue, kFeedForwardDown, kOther };

std::vector<std::string_view> SyntheticShapeNames();
std::vector<std::string_view> QuantizationNames();
Result<SyntheticShape> FindSyntheticShape(std::string_view name);
Result<Quantization> FindQuantization(std::string_view name);

// `role` kHead is the matrix that makes the logits: the lm-head, or the embedding when tied. `row_length` decides whether
// a type of 256 columns fits.
DType TypeOfMatrix(Quantization quantization, MatrixRole role, uint32_t layer, uint32_t num_layers,
                   uint64_t row_length);

}  // namespace weir
