// What a Hugging Face checkpoint calls a tensor, in the names of GGUF.
//
// Threads   pure functions
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir {

struct ExpertName {
  std::string gguf_name;  // of the tensor that holds the matrices of all experts
  int expert = 0;
};

// Of one expert's matrix; none for any other tensor.
std::optional<ExpertName> ExpertNameOf(std::string_view name);

// Empty for a tensor that no forward pass reads (a buffer that old versions saved); none for an unknown one.
std::optional<std::string> GgufNameOf(std::string_view name, bool is_gemma);

}  // namespace weir
