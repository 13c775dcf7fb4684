// Reads a whole GGUF file from bytes: header, metadata, tensor directory.
//
// Owns      nothing; everything it returns points into the bytes
// Errors    as ModelFile::Open, without the file's name
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "engine/gguf/metadata_reader.h"
#include "engine/gguf/tensor_reader.h"

namespace weir {

struct GgufContents {
  uint32_t version = 0;
  Metadata metadata;
  TensorDirectory directory;
};

Result<GgufContents> ReadGguf(std::span<const std::byte> file);

}  // namespace weir
