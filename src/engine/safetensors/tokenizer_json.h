// tokenizer.json and what stands beside it, in the words of GGUF's keys.
//
// Errors    DATA_LOSS for a file that contradicts itself · UNIMPLEMENTED for a model, normalizer or pre-tokenizer that weir
//           lacks. Messages name the file and what in it
// Threads   a pure function
// Source    docs/TOKENIZER.md, "tokenizer.json"
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "engine/gguf/metadata_writer.h"

namespace weir {

// `vocab_size`: the model's, up to which the list of tokens is filled. Writes nothing when there is no tokenizer.json.
Status WriteTokenizer(const std::string& directory, uint32_t vocab_size, MetadataWriter* out);

}  // namespace weir
