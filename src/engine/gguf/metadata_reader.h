// Reads the key-value part of a GGUF file.
//
// Requires  the reader stands behind the file header
// Errors    DATA_LOSS with key and byte offset; the caller adds the file's name
// Source    docs/FORMATS.md, "GGUF as weir reads it"
//
// Nothing is allocated because the file names a number, only after the bytes for it are known to be there.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/gguf/byte_reader.h"
#include "engine/gguf/model_file.h"
#include "engine/gguf/name_index.h"

namespace weir {

// The least a key and a tensor take, so that a count can be judged before anything is reserved for it.
inline constexpr uint64_t kMinKeyBytes = 14;
inline constexpr uint64_t kMinTensorBytes = 33;
// More than any model has; they bound the memory that a file of nothing but tiny entries could take.
inline constexpr uint64_t kMaxKeys = 65'536;
inline constexpr uint64_t kMaxTensors = 65'536;
inline constexpr uint64_t kMaxKeyLength = 1'024;
inline constexpr uint64_t kMaxStrings = 4'194'304;

struct Metadata {
  std::vector<MetadataEntry> entries;
  NameIndex index;
};

Result<Metadata> ReadMetadata(ByteReader& reader, uint64_t num_keys);
std::string_view MetadataTypeName(MetadataType type);
// Bytes of one value; 0 for strings and arrays.
uint64_t MetadataTypeBytes(MetadataType type);

}  // namespace weir
