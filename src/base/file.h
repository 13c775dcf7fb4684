// Whole files, read and replaced. A file that could not be written completely is never left under its final
// name.
//
// Errors    NOT_FOUND no such file · INVALID_ARGUMENT a directory, or a place that cannot be written ·
// DATA_LOSS read failed
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

Result<std::string> ReadFile(const std::string& path, uint64_t max_bytes = uint64_t{1} << 30);
// The same for a secret: a file that users beside its owner and group can read, or beside its owner can write, is
// INVALID_ARGUMENT.
Result<std::string> ReadSecretFile(const std::string& path, uint64_t max_bytes);

// Writes to a temporary file beside `path` and renames it, so a reader sees the old or the new content, never
// a part.
Status WriteFile(const std::string& path, std::string_view content);

// Fails early, before long work, if WriteFile(path) later would: creates nothing that stays.
Status CheckWritable(const std::string& path);

}  // namespace weir
