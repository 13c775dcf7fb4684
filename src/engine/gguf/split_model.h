// A model in several GGUF files: NAME-00001-of-00003.gguf and its siblings, of which the first holds the metadata.
//
// Errors    DATA_LOSS for contradictions between keys and names, or between parts. Messages name keys and files
// Threads   pure functions
// Source    docs/FORMATS.md, "Split models"
//
// A name decides which files are opened, never a key: only siblings of the file that was named are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/gguf/gguf_reader.h"

namespace weir {

struct SplitPlace {
  uint64_t number = 0;                  // split.no, from 0 on
  uint64_t count = 1;                   // split.count
  std::optional<uint64_t> num_tensors;  // split.tensors.count, of all parts
};

// What the keys say; count is 1 for a whole model.
Result<SplitPlace> ReadSplitPlace(const Metadata& metadata);

// The files of all parts, from the name of one of them. Requires place.count > 1.
Result<std::vector<std::string>> PartPaths(const std::string& path, const SplitPlace& place);

// Whether `part`, which is number `number`, belongs to the same model as `first`.
Status CheckPart(const GgufContents& first, const SplitPlace& of_first, const GgufContents& part,
                 uint64_t number);

}  // namespace weir
