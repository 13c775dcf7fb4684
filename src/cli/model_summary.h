// What `weir inspect` says about a model file, gathered without loading it.
//
// Units     bytes, elements
// Errors    DATA_LOSS when metadata and tensors contradict each other. What weir merely cannot run is no error: the
//           summary says why
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/gguf/model_file.h"
#include "engine/memory_plan.h"
#include "engine/model/model_config.h"

namespace weir {

struct TypeShare {
  DType dtype = DType::kF32;
  int64_t num_tensors = 0;
  int64_t elements = 0;
  int64_t bytes = 0;
};

// Tensors that differ only in the number of their layer: one line of the table.
struct TensorGroup {
  std::string name;  // "blk.*.attn_k.weight"
  const TensorInfo* first = nullptr;
  int64_t num_tensors = 0;
  int64_t bytes = 0;
};

struct ModelMemory {
  int64_t weight_bytes = 0;
  int64_t kv_bytes_per_token = 0;
  int64_t kv_bytes_per_context = 0;
  MachineMemory machine;
  int64_t tokens_that_fit = 0;  // of KV cache, beside the weights
  SequenceRoom room;            // for sequences of a whole context
};

struct ModelSummary {
  std::string name;
  std::string architecture;
  std::vector<TypeShare> types;  // most bytes first
  std::vector<TensorGroup> groups;
  int64_t parameters = 0;
  double bits_per_weight = 0;
  std::optional<ModelConfig> config;  // none: weir lacks the architecture
  std::optional<ModelMemory> memory;  // none without config
  std::string obstacle;               // why weir cannot serve it; empty when it can
};

Result<ModelSummary> SummarizeModel(const ModelFile& file, const MachineMemory& machine,
                                    double memory_utilization = 0.9, KvDtype kv_dtype = KvDtype::kF16);

// One line, long strings and arrays shortened: `["<|endoftext|>", "<|im_start|>", ... 49152 in all]`.
std::string DescribeValue(const MetadataEntry& entry, size_t max_bytes = 72);
// The value itself; of an array of more than 16, its length and beginning.
Json MetadataJson(const MetadataEntry& entry);
Json ToJson(const ModelSummary& summary, const ModelFile& file);

}  // namespace weir
