// config.json in the words of GGUF's keys.
//
// Errors    DATA_LOSS for a missing or impossible value · UNIMPLEMENTED for an architecture, or a setting of one, that weir
//           does not compute. Messages name file and key
// Threads   values
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/gguf/metadata_writer.h"

namespace weir {

struct HuggingFaceArchitecture {
  std::string_view class_name;  // "LlamaForCausalLM"
  std::string_view name;        // general.architecture
  bool is_gemma = false;        // norms are stored less 1, and each half of a layer has two
  bool no_rope_layers = false;  // every fourth layer, or as config.json says
  bool has_experts = false;
};

std::span<const HuggingFaceArchitecture> KnownHuggingFaceArchitectures();

struct HuggingFaceConfig {
  const HuggingFaceArchitecture* architecture = nullptr;
  int num_layers = 0;
  int num_experts = 0;
  std::vector<bool> has_experts;  // by layer; empty without experts
  bool tied_embeddings = false;
  bool states_tie = false;           // whether it says so; else the weights decide
  std::vector<float> short_factors;  // longrope's
  int rope_dims = 0;
  uint32_t vocab_size = 0;

  // Reads `directory`/config.json and writes its keys.
  static Result<HuggingFaceConfig> Read(const std::string& directory, MetadataWriter* out);
};

}  // namespace weir
