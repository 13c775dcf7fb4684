// The rows of `llama-bench -o json` and of `llama-batched-bench`, out of matrix mode.
//
// Source    llama.cpp, tools/llama-bench and tools/batched-bench: names and meanings of the fields
#pragma once

#include "base/json.h"

namespace weir {

// Two rows per cell of batch size 1: the prompt and the generation. There is no batch of sequences in that file.
Json LlamaBenchRows(const Json& document);
// A row per cell.
Json LlamaBatchedRows(const Json& document);

}  // namespace weir
