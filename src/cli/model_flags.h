// The flags that say which model a command loads: a file, a directory, or synthetic weights.
//
// Errors    INVALID_ARGUMENT naming the flag, and the choices where there are some · NOT_FOUND without any model
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/model/model.h"
#include "engine/safetensors/load_quantization.h"
#include "engine/synthetic/synthetic_model.h"

namespace weir {

struct ModelChoice {
  std::string path;                                         // of the file, or the synthetic model's name
  std::optional<SyntheticSpec> synthetic;                   // set: there is no file
  LoadQuantization quantization = LoadQuantization::kNone;  // of a directory
  std::string quantized_cache;                              // folder
  WeightStorage weights = WeightStorage::kRepack;
};

// What was written behind the flags.
struct ModelFlags {
  std::string model{};
  std::string load_format = "gguf";
  std::string shape{};
  std::string quantization{};
  std::string weights = "repack";

  void Declare(CLI::App& app);
  Result<ModelChoice> Choose() const;
};

}  // namespace weir
