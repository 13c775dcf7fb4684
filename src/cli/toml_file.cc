#include "cli/toml_file.h"

#include <fmt/format.h>

#include <exception>
#include <sstream>

#include "base/file.h"
#include "base/utf8.h"

// Header-only and without exceptions: a bad file is a value, and no library need be there at run time.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 1
#include <toml++/toml.h>

namespace weir {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;

// Its depth is bounded by the parser's.
Json Convert(const toml::node& node, const std::string& place, std::map<std::string, int>* lines) {
  (*lines)[place] = static_cast<int>(node.source().begin.line);
  if (const toml::table* table = node.as_table()) {
    Json out = Json::object();
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      const std::string inner = place.empty() ? name : place + "." + name;
      out[name] = Convert(value, inner, lines);
      (*lines)[inner] = static_cast<int>(key.source().begin.line);
    }
    return out;
  }
  if (const toml::array* array = node.as_array()) {
    Json out = Json::array();
    for (const toml::node& value : *array)
      out.push_back(Convert(value, fmt::format("{}[{}]", place, out.size()), lines));
    return out;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  std::ostringstream text;
  node.visit([&](const auto& value) {
    if constexpr (toml::is_date<decltype(value)> || toml::is_time<decltype(value)> ||
                  toml::is_date_time<decltype(value)>) {
      text << value.get();
    }
  });
  return text.str();
}

}  // namespace

std::string TomlFile::Where(const std::string& place) const {
  const auto found = lines.find(place);
  return found == lines.end() || found->second == 0 ? path : fmt::format("{}:{}", path, found->second);
}

Result<TomlFile> ParseToml(std::string_view text, const std::string& path, bool has_secrets) {
  TomlFile file{.path = path};
  try {
    const toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
      const toml::parse_error& error = parsed.error();
      return InvalidArgument(
          fmt::format("{}:{}:{}: {}", path, error.source().begin.line, error.source().begin.column,
                      has_secrets ? "this is not valid TOML; is a quote or a bracket missing?"
                                  : QuoteForMessage(error.description(), 256)));
    }
    file.root = Convert(parsed.table(), "", &file.lines);
  } catch (const std::exception& error) {  // out of memory, say
    return InvalidArgument(fmt::format("{}: {}", path, error.what()));
  }
  return file;
}

Result<TomlFile> ReadToml(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  return ParseToml(text, path);
}

std::string TomlString(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace weir
