// Reads the tensor directory of a GGUF file and holds it against the bytes that are really there.
//
// Requires  the reader stands behind the metadata
// Errors    DATA_LOSS, or UNIMPLEMENTED for a type weir lacks, with the tensor's name; the caller adds the file
// Source    docs/FORMATS.md, "GGUF as weir reads it"
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/gguf/byte_reader.h"
#include "engine/gguf/model_file.h"
#include "engine/gguf/name_index.h"

namespace weir {

struct TensorDirectory {
  std::vector<TensorInfo> tensors;  // in file order, data set
  NameIndex index;
};

Result<TensorDirectory> ReadTensors(ByteReader& reader, uint64_t num_tensors, uint64_t alignment,
                                    std::span<const std::byte> file);

}  // namespace weir
