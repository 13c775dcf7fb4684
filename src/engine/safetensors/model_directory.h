// A Hugging Face directory as a ModelFile: config.json, weights and tokenizer in GGUF's names and keys, so that nothing
// above knows where a model came from.
//
// Owns      the ModelFile owns the mappings of the weights
// Errors    NOT_FOUND a part is missing · DATA_LOSS damaged or contradictory · UNIMPLEMENTED an architecture or a
//           compression that weir lacks. Messages name the file and key or tensor
// Threads   as ModelFile
// Source    docs/FORMATS.md, "Hugging Face directories"
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "engine/gguf/model_file.h"
#include "engine/safetensors/load_quantization.h"

namespace weir {

bool IsModelDirectory(const std::string& path);
// `cache_folder`: where quantized weights are kept between starts (quantized_cache.h); empty: nowhere.
Result<std::unique_ptr<ModelFile>> OpenModelDirectory(const std::string& directory,
                                                      LoadQuantization quantization = LoadQuantization::kNone,
                                                      const std::string& cache_folder = {});

// A GGUF file, or a directory.
Result<std::unique_ptr<ModelFile>> OpenModel(const std::string& path,
                                             LoadQuantization quantization = LoadQuantization::kNone,
                                             const std::string& cache_folder = {});

}  // namespace weir
