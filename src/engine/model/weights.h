// All weights of a model, packed for one kernel table.
//
// Owns      one buffer for all matrices, unless they stay in the file; norms as floats
// Errors    Load: DATA_LOSS (damaged, not finite, changed while read) · UNIMPLEMENTED type · RESOURCE_EXHAUSTED
// Threads   Load uses the pool; immutable after
#pragma once

#include <functional>
#include <vector>

#include "base/result.h"
#include "engine/gguf/model_file.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/kernels/thread_pool.h"
#include "engine/model/model.h"
#include "engine/model/model_config.h"
#include "engine/tensor/aligned_buffer.h"

namespace weir {

struct ExpertWeights {
  PackedMatrix gate;
  PackedMatrix up;
  PackedMatrix down;
};

struct LayerWeights {
  std::vector<float> attention_norm;
  std::vector<float> ffn_norm;
  float attention_largest = 0, ffn_largest = 0;  // LargestOfNormed() of these
  // Empty unless the architecture has them.
  std::vector<float> q_bias, k_bias, v_bias;
  std::vector<float> q_norm, k_norm;  // of one head
  std::vector<float> post_attention_norm, post_ffn_norm;
  PackedMatrix q;
  PackedMatrix k;
  PackedMatrix v;
  PackedMatrix o;
  // Of a layer without experts; of one with them, what chooses and all there are.
  PackedMatrix gate;
  PackedMatrix up;
  PackedMatrix down;
  PackedMatrix router;
  std::vector<ExpertWeights> experts;

  // Calls body(matrix, is_expert) for every matrix that there is.
  template <typename Body>
  void ForEachMatrix(const Body& body) const {
    for (const PackedMatrix* matrix : {&q, &k, &v, &o}) body(*matrix, false);
    for (const PackedMatrix* matrix : {&gate, &up, &down, &router})
      if (matrix->out > 0) body(*matrix, false);
    for (const ExpertWeights& expert : experts)
      for (const PackedMatrix* matrix : {&expert.gate, &expert.up, &expert.down}) body(*matrix, true);
  }
};

struct Weights {
  std::vector<LayerWeights> layers;
  PackedMatrix embedding;
  PackedMatrix lm_head;  // the embedding when tied
  std::vector<float> output_norm;
  std::vector<float> rope_divisors;  // of the frequency of each pair; empty: 1
  AlignedBuffer buffer;              // empty when they stay in the file
  WeightFacts facts;

  static Result<Weights> Load(const ModelFile& file, const ModelConfig& config, const KernelTable& kernels,
                              ThreadPool& pool, WeightStorage storage,
                              const std::function<void(double)>& on_progress);
  int64_t largest_strip_bytes() const;
};

ModelCost CostOf(const Weights& weights, const ModelConfig& config);

}  // namespace weir
