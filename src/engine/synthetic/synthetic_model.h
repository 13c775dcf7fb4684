// A model of a known shape with random weights: what a real one of that shape costs, without having it.
//
// Owns      a few megabytes; the weights themselves are made while they are packed
// Errors    INVALID_ARGUMENT naming the choices
// Threads   pure functions
// Source    docs/MEASUREMENT.md, "Synthetic weights"
//
// The tokenizer is real and empty of meaning: one token per byte, then filler such as "#300", then three control tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/gguf/model_file.h"
#include "engine/synthetic/synthetic_shape.h"

namespace weir {

struct SyntheticSpec {
  std::string shape;
  std::string quantization;
  uint64_t seed = 1;

  // "synthetic-llama-3.2-1b-q8_0": also what the API and result files call it.
  std::string Name() const { return "synthetic-" + shape + "-" + quantization; }
};

Status CheckSyntheticSpec(const SyntheticSpec& spec);
Result<std::unique_ptr<ModelFile>> MakeSyntheticModel(const SyntheticSpec& spec);
// Of any shape that makes sense (CHECK: room for the byte and control tokens).
Result<std::unique_ptr<ModelFile>> MakeSyntheticModel(const SyntheticShape& shape, Quantization quantization,
                                                      uint64_t seed, const std::string& name);

}  // namespace weir
