// What a directory's weights became when they were quantized, kept on disk, so that only the first start pays for it.
//
// Owns      files NAME.rows in a folder of their own; the oldest unused ones go when they would be more than kMaxCacheBytes
// Errors    none: a cache that is missing, damaged or cannot be written is done without, with a warning where it matters
// Threads   any; several processes may share the folder. A file appears whole, by a rename, and is never changed
// Source    docs/FORMATS.md, "Quantization on load"
//
// A file's key names everything its rows depend on: quantization, shapes, and the source files with their sizes and times.
// Its content carries a checksum, held against it at every start.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "engine/gguf/model_file.h"

namespace weir {

inline constexpr uint64_t kMaxCacheBytes = uint64_t{64} << 30;

// Rows equal to those of `rows`: out of the cache, where they are put first unless they are there. `key` is what identifies
// them, of any form. `what` is for messages.
std::unique_ptr<TensorRows> CachedRows(const std::string& folder, const std::string& key,
                                       const std::string& what, std::span<const TensorInfo> tensors,
                                       std::unique_ptr<TensorRows> rows,
                                       uint64_t max_cache_bytes = kMaxCacheBytes);

}  // namespace weir
