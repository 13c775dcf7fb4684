// SHA-256 of bytes and files, as lower-case hex: names the exact model and result files that a number came
// from.
//
// Errors    HashFile: NOT_FOUND, INVALID_ARGUMENT, DATA_LOSS as base/file.h
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

std::string Sha256(std::string_view bytes);
Result<std::string> Sha256File(const std::string& path);

}  // namespace weir
