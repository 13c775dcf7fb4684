// Typed access to one metadata entry.
//
// Errors    DATA_LOSS naming the key, the type expected and the type found; the caller adds the file's name
// Threads   pure functions
//
// Writers disagree on the width and sign of integers, so every integer type converts as long as the value
// fits.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/gguf/model_file.h"

namespace weir {

Result<uint64_t> ValueAsUint(const MetadataEntry& entry);
Result<double> ValueAsFloat(const MetadataEntry& entry);  // finite; integers convert
Result<bool> ValueAsBool(const MetadataEntry& entry);
Result<std::string_view> ValueAsString(const MetadataEntry& entry);
Result<std::span<const std::string_view>> ValueAsStrings(const MetadataEntry& entry);
Result<std::vector<float>> ValueAsFloats(const MetadataEntry& entry);
Result<std::vector<int64_t>> ValueAsInts(const MetadataEntry& entry);

}  // namespace weir
