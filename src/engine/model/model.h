// A loaded model: the forward pass over one batch of mixed prefill and decode rows.
//
// Shapes    logits [batch.logit_rows.size(), vocab_size] f32
// Requires  batch within the limits given at Load(); slots inside `kv`, which has the shape of config()
// Owns      packed weights, scratch, worker threads. Forward allocates nothing
// Errors    Load: DATA_LOSS, UNIMPLEMENTED, RESOURCE_EXHAUSTED; INVALID_ARGUMENT for kMmap without a file. Forward: none
// Threads   Forward on the engine thread only, which is worker 0
//
// A row's logits depend neither on the other rows of the batch, nor on chunking, nor on the thread count.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/batch/batch.h"
#include "engine/gguf/model_file.h"
#include "engine/kernels/row_maximum.h"
#include "engine/kernels/step_profile.h"
#include "engine/kvcache/kv_storage.h"
#include "engine/lora/lora_adapter.h"
#include "engine/model/model_config.h"
#include "engine/tensor/matrix_view.h"

namespace weir {

// Where the weights lie while they are used.
enum class WeightStorage {
  kRepack,  // in memory, in the order in which the kernels read them
  kMmap,  // in the file's mapping; every product packs what it reads. Slow, and needs little memory of its own
};

struct ModelOptions {
  int num_threads = 0;      // 0: all cores of the affinity mask
  int max_rows = 512;       // most rows of one batch (max_num_batched_tokens)
  int max_logit_rows = 64;  // most rows of one batch that want logits
  int max_context = 0;      // 0: the model's own
  KvDtype kv_dtype = KvDtype::kF16;
  std::string
      isa;  // "", "generic", "avx2", "avx512vnni", "avx512bf16", "amx"; the variable WEIR_ISA is the default
  WeightStorage storage = WeightStorage::kRepack;  // kMmap: the ModelFile outlives the model
  // Of BatchSequence::adapter 1, 2, ...; not needed any more once the model is loaded.
  std::vector<const LoraAdapter*> adapters = {};
  std::function<void(double)> on_progress;  // loading, 0 to 1
};

// What one token costs, for physical limits: bytes read per step and multiplications per token by weight type.
struct ModelCost {
  struct PerType {
    DType dtype;
    int64_t weight_bytes;
    int64_t macs_per_token;  // all matrices, lm-head included
    // The part of it that only rows pay whose logits are wanted: the lm-head, and the last layer but for its keys and values.
    int64_t logit_row_macs;
  };
  std::vector<PerType> types;
  int64_t weight_bytes =
      0;  // read by a step of one row, tied lm-head included: of experts those that it chooses
  int64_t stored_bytes = 0;  // of all of them
  int64_t macs_per_token = 0;
  int64_t kv_bytes_per_token = 0;
  int64_t parameters = 0;
};

// How the weights came to lie where they lie.
struct WeightFacts {
  WeightStorage storage = WeightStorage::kRepack;
  int64_t packed_bytes = 0;  // in memory of our own
  int64_t huge_bytes = 0;    // of them, in huge pages when loading ended
  int64_t mapped_bytes = 0;  // left in the file
  double load_s = 0;         // from the opened file until they are ready
};

class Model {
 public:
  static Result<std::unique_ptr<Model>> Load(const ModelFile& file, const ModelOptions& options);
  virtual ~Model() = default;

  // `maxima`: one per row of logits, or empty when nobody asks.
  virtual void Forward(const Batch& batch, KvStorage& kv, MatrixView<float> logits,
                       std::span<RowMaximum> maxima) noexcept = 0;
  // From the next Forward on its segments are entered in `profile`; null: none, which costs nothing.
  virtual void set_profile(StepProfile* profile) = 0;

  virtual const ModelConfig& config() const = 0;
  virtual const ModelCost& cost() const = 0;
  virtual int64_t memory_bytes() const = 0;  // packed weights, adapters and scratch
  virtual const WeightFacts& weight_facts() const = 0;
  virtual std::string isa() const = 0;  // kernel path in use
  virtual int num_threads() const = 0;
};

}  // namespace weir
