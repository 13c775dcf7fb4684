// JSON in and out. In is strict and bounded, because it comes from strangers; out keeps the order of
// insertion.
//
// Errors    ParseJson: INVALID_ARGUMENT with reason "invalid_json" for syntax, invalid UTF-8, a lone
// surrogate, a
//           duplicate key, more than `max_depth` levels, or bytes after the document. Access helpers never
//           throw
// Threads   as a value
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

using Json = nlohmann::ordered_json;

Result<Json> ParseJson(std::string_view text, int max_depth = 64);
// Reads a file of our own kind; the message names the file.
Result<Json> ReadJsonFile(const std::string& path);
// One line; invalid UTF-8 becomes U+FFFD instead of an exception.
std::string DumpJson(const Json& value);
// Two-space indentation and a final newline, for files people open.
std::string DumpJsonPretty(const Json& value);

// Walks object keys; null when any is missing or the value is no object.
const Json* FindJson(const Json& value, std::initializer_list<std::string_view> path);
std::optional<double> JsonNumber(const Json* value);
std::optional<std::string> JsonString(const Json* value);

}  // namespace weir
