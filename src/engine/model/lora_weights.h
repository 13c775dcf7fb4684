// The matrices of one LoRA adapter, held against the model they are for and packed for its kernels.
//
// Owns      one buffer
// Errors    Pack: DATA_LOSS for shapes that are not this model's, values that are not finite, a file that changed ·
//           UNIMPLEMENTED for a tensor that is not adapted · RESOURCE_EXHAUSTED. Messages name file and tensor
// Threads   immutable
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/lora/lora_adapter.h"
#include "engine/model/model_config.h"
#include "engine/tensor/aligned_buffer.h"

namespace weir {

enum class LoraTarget { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr int kNumLoraTargets = 7;

struct LoraFactor {
  PackedMatrix a;  // out is 0 where the adapter leaves the matrix alone
  PackedMatrix b;
  float scale = 1;
};

struct LoraWeights {
  using Layer = std::array<LoraFactor, kNumLoraTargets>;

  std::vector<Layer> layers;
  int rank = 0;  // the largest
  AlignedBuffer buffer;

  const LoraFactor* Find(int layer, LoraTarget target) const {
    const LoraFactor& factor = layers[static_cast<size_t>(layer)][static_cast<size_t>(target)];
    return factor.a.out > 0 ? &factor : nullptr;
  }

  static Result<LoraWeights> Pack(const LoraAdapter& adapter, const ModelConfig& config,
                                  const KernelTable& kernels);
};

}  // namespace weir
