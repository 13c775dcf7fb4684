// What a Hugging Face checkpoint calls a tensor, in the names of GGUF.
//
// Threads   pure functions
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir {

// Empty for a tensor that no forward pass reads (a buffer that old versions saved); none for an unknown one.
std::optional<std::string> GgufNameOf(std::string_view name, bool is_gemma);

}  // namespace weir
