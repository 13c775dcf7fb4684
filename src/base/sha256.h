// SHA-256 of bytes and files: names the exact model and result files that a number came from, and stands for a
// secret that is not kept.
//
// Errors    HashFile: NOT_FOUND, INVALID_ARGUMENT, DATA_LOSS as base/file.h
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

using Sha256Digest = std::array<uint8_t, 32>;

std::string Sha256(std::string_view bytes);  // lower-case hex, as Sha256File()
Sha256Digest Sha256Bytes(std::string_view bytes);
// Takes as long for digests that differ in their first byte as for equal ones.
bool SameDigest(const Sha256Digest& a, const Sha256Digest& b);
// Of 64 hex digits, either case; otherwise empty.
std::optional<Sha256Digest> DigestFromHex(std::string_view hex);
Result<std::string> Sha256File(const std::string& path);

}  // namespace weir
