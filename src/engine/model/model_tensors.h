// Which tensors a model of a given configuration has, and whether a file has exactly those.
//
// Shapes    columns is the row length
// Errors    CheckTensors: DATA_LOSS with both sides of a contradiction · UNIMPLEMENTED for a tensor that the forward pass
//           would leave out, because the results would be wrong
// Threads   pure functions
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/gguf/model_file.h"
#include "engine/model/model_config.h"

namespace weir {

struct ExpectedTensor {
  std::string name;
  uint64_t columns;
  uint64_t rows;
  const char* keys;  // that call for these sizes
};

std::vector<ExpectedTensor> LayerTensors(const ModelConfig& config, int layer);
Status CheckTensors(const ModelFile& file, const ModelConfig& config);

}  // namespace weir
