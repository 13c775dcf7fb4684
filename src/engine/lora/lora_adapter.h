// A LoRA adapter as a file says it: for some of a model's matrices W two small ones, so that W x becomes
// W x + scale * B (A x).
//
// Shapes    a [rank, columns of W]; b [rows of W, rank]
// Owns      the mappings; views live as long as the adapter
// Errors    Open: NOT_FOUND · INVALID_ARGUMENT a path of another kind · DATA_LOSS damaged or contradictory · UNIMPLEMENTED an
//           adapter that is more than these two matrices. Messages name file, key or tensor, expected and found
// Threads   immutable after Open()
// Source    docs/FORMATS.md, "LoRA adapters"
//
// What W is, nobody has looked at here: that is the model's part (engine/model/lora_weights.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/gguf/model_file.h"
#include "engine/safetensors/safetensors_file.h"
#include "engine/tensor/dtype.h"

namespace weir {

struct LoraMatrix {
  std::string name;  // in the file
  DType dtype = DType::kF32;
  uint64_t rows = 0;
  uint64_t columns = 0;
  std::span<const std::byte> data;  // row by row
};

struct LoraPair {
  std::string target;  // GGUF's name of W, "blk.7.attn_q.weight"
  LoraMatrix a;
  LoraMatrix b;
  float scale = 1;

  uint64_t rank() const { return a.rows; }
};

struct LoraAdapter {
  std::string path;
  std::string format;        // "PEFT" or "GGUF"
  std::string base_model;    // as the file calls it; may be empty
  std::string architecture;  // general.architecture of a GGUF file; empty for PEFT
  std::vector<LoraPair> pairs;

  // Whether the rows of q and k are in the order of Hugging Face, in which a head rotates (i, i + half).
  bool pairs_are_halves() const;
  uint64_t largest_rank() const;
  uint64_t num_parameters() const;
  // DATA_LOSS once a file was changed after Open().
  Status CheckUnchanged() const;

  // A directory that PEFT saved (adapter_config.json, adapter_model.safetensors), or a GGUF file of type adapter.
  static Result<LoraAdapter> Open(const std::string& path);

  std::unique_ptr<SafetensorsFile> safetensors;
  std::unique_ptr<ModelFile> gguf;
};

// Of a path that inspect was given: whether Open() is meant for it.
bool IsLoraDirectory(const std::string& path);
bool IsLoraFile(const ModelFile& file);

Result<LoraAdapter> OpenPeftAdapter(const std::string& directory);
Result<LoraAdapter> OpenGgufAdapter(std::unique_ptr<ModelFile> file);

}  // namespace weir
