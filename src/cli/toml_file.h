// A TOML file as a JSON tree that knows its lines. The only place that sees the TOML library.
//
// Errors    as base/file.h; INVALID_ARGUMENT "FILE:LINE:COLUMN: what" for what is not TOML
//
// Dates and times become RFC 3339 text.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace weir {

struct TomlFile {
  std::string path;
  Json root = Json::object();
  std::map<std::string, int> lines{};  // "keys[0].name" -> 3

  // "FILE:LINE", or the file's name for what it does not have.
  std::string Where(const std::string& place) const;
};

// `path` is only named in messages. Of a file with secrets nothing is quoted in them.
Result<TomlFile> ParseToml(std::string_view text, const std::string& path, bool has_secrets = false);
Result<TomlFile> ReadToml(const std::string& path);
// As a TOML basic string, quotes included.
std::string TomlString(std::string_view text);

}  // namespace weir
