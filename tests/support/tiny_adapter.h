// A random LoRA adapter of the tiny model, strong enough that its greedy text differs.
//
// Owns      nothing lasting
#pragma once

#include <string>
#include <vector>

#include "base/rng.h"
#include "tests/support/gguf_writer.h"

namespace weir {

inline GgufWriter TinyAdapterFile(uint64_t seed) {
  Rng rng(seed);
  GgufWriter writer;
  writer.SetString("general.architecture", "llama");
  writer.SetString("general.type", "adapter");
  writer.SetString("adapter.type", "lora");
  writer.SetFloat32("adapter.lora.alpha", 8.0f);
  const auto add = [&](const std::string& name, std::vector<uint64_t> dims) {
    std::string data;
    for (uint64_t i = 0; i < dims[0] * dims[1]; ++i)
      AppendRaw(&data, static_cast<float>(rng.NextDouble() - 0.5));
    writer.AddTensor(name, std::move(dims), DType::kF32, data);
  };
  // From the first layer on: a block of the prefix cache that was shared would change an answer.
  for (const char* part : {"attn_k", "attn_v"}) {
    add("blk.0." + std::string(part) + ".weight.lora_a", {64, 4});
    add("blk.0." + std::string(part) + ".weight.lora_b", {4, 32});
  }
  return writer;
}

}  // namespace weir
