#include "cli/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <utility>

#include "base/utf8.h"
#include "cli/command.h"

namespace weir {
namespace {

std::string KeyOf(const CLI::Option& option) {
  std::string key = option.get_lnames().front();
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

std::string VariableOf(const CLI::Option& option) {
  std::string name = "WEIR_" + KeyOf(option);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return name;
}

bool IsSwitch(const CLI::Option& option) { return option.get_expected_max() == 0; }
bool IsList(const CLI::Option& option) { return option.get_items_expected_max() > 1 && !IsSwitch(option); }
bool IsNumber(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.starts_with("INT") || type.starts_with("UINT") || type.starts_with("FLOAT");
}

// As a flag would have been written; empty for what no flag can be.
std::optional<std::string> TextOf(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  if (value.is_number_integer()) return fmt::format("{}", value.get<int64_t>());
  if (value.is_number()) return fmt::format("{}", value.get<double>());
  return std::nullopt;
}

std::string InToml(const CLI::Option& option, const std::string& text) {
  if (!IsNumber(option)) return TomlString(text);
  const double value = std::strtod(text.c_str(), nullptr);
  return std::isfinite(value) ? fmt::format("{}", value) : TomlString(text);
}

}  // namespace

Settings::Settings(CLI::App* app, std::string table, std::set<std::string> flags_only)
    : app_(app), table_(std::move(table)), flags_only_(std::move(flags_only)) {
  flags_only_.insert("help");
}

std::vector<CLI::Option*> Settings::Options() const {
  std::vector<CLI::Option*> options;
  for (CLI::Option* option : app_->get_options()) {
    if (!option->get_lnames().empty() && !flags_only_.contains(option->get_lnames().front()))
      options.push_back(option);
  }
  return options;
}

CLI::Option* Settings::Find(const std::string& key) const {
  for (CLI::Option* option : Options()) {
    for (std::string name : option->get_lnames()) {
      std::replace(name.begin(), name.end(), '-', '_');
      if (name == key) return option;
    }
  }
  return nullptr;
}

Status Settings::Take(CLI::Option* option, const std::vector<std::string>& values,
                      const std::string& source) {
  const auto wrong = [&](const std::string& what) {
    return InvalidArgument(fmt::format("{}: {}", source, what));
  };
  if (IsSwitch(*option) && values.front() != "true" && values.front() != "false")
    return wrong(
        fmt::format("{} is '{}', expected true or false", KeyOf(*option), QuoteForMessage(values.front())));
  try {
    option->add_result(values);
    option->run_callback();
  } catch (const std::exception& error) {
    std::string text = error.what();
    std::replace(text.begin(), text.end(), '\n', ' ');
    return wrong(text);
  }
  sources_[option] = source;
  return OkStatus();
}

Status Settings::TakeEnvironment() {
  for (CLI::Option* option : Options()) {
    if (option->count() > 0) continue;
    const std::string variable = VariableOf(*option);
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr || *value == '\0') continue;  // empty counts as unset, as in a shell's ${X:-…}
    std::string text = value;
    if (IsSwitch(*option) && (text == "1" || text == "0")) text = text == "1" ? "true" : "false";
    WEIR_RETURN_IF_ERROR(Take(option, {text}, "environment " + variable));
  }
  return OkStatus();
}

Status Settings::TakeFile(const TomlFile& file) {
  for (const auto& [name, value] : file.root.items()) {
    if (name == table_ && value.is_object()) continue;
    const std::string hint = NearestName(name, {table_}).empty() && Find(name) == nullptr
                                 ? fmt::format("the options are in the table [{}]", table_)
                                 : fmt::format("did you mean [{}]?", table_);
    return InvalidArgument(fmt::format("{}: unknown {} '{}'; {}", file.Where(name),
                                       value.is_object() ? "table" : "key", QuoteForMessage(name), hint));
  }
  if (!file.root.contains(table_)) return OkStatus();
  std::vector<std::string> known;
  for (const CLI::Option* option : Options()) known.push_back(KeyOf(*option));
  for (const auto& [name, value] : file.root.at(table_).items()) {
    const std::string place = file.Where(table_ + "." + name);
    CLI::Option* option = Find(name);
    if (option == nullptr) {
      const std::string nearest = NearestName(name, known);
      return InvalidArgument(
          fmt::format("{}: unknown key '{}'; {}", place, QuoteForMessage(name),
                      nearest.empty() ? fmt::format("'weir {} --print-config' lists all of them", table_)
                                      : fmt::format("did you mean '{}'?", nearest)));
    }
    std::vector<std::string> texts;
    bool is_sound = !value.is_object() && (!value.is_array() || IsList(*option));
    for (const Json& one : value.is_array() ? value : Json::array({value})) {
      const std::optional<std::string> text = TextOf(one);
      is_sound = is_sound && text.has_value() && (!IsSwitch(*option) || one.is_boolean());
      texts.push_back(text.value_or(""));
    }
    if (!is_sound) {
      return InvalidArgument(fmt::format("{}: '{}' must be {}", place, name,
                                         IsSwitch(*option)   ? "true or false"
                                         : IsList(*option)   ? "a list of texts"
                                         : IsNumber(*option) ? "a number"
                                                             : "a text"));
    }
    if (option->count() > 0 || texts.empty()) continue;  // flag and environment go first
    WEIR_RETURN_IF_ERROR(Take(option, texts, place));
  }
  return OkStatus();
}

std::string Settings::SourceOf(const CLI::Option* option) const {
  if (const auto found = sources_.find(option); found != sources_.end()) return found->second;
  return option->count() > 0 ? "flag" : "default";
}

Status Settings::Locate(const Status& status) const {
  if (!status.param().starts_with("--")) return status;
  std::string key = status.param().substr(2);
  std::replace(key.begin(), key.end(), '-', '_');
  const auto found = sources_.find(Find(key));
  if (found == sources_.end()) return status;
  return Status(status.code(), fmt::format("{}: {}", found->second, status.message()))
      .WithParam(status.param())
      .WithReason(status.reason());
}

std::map<std::string, std::string> Settings::Values() const {
  std::map<std::string, std::string> values;
  for (CLI::Option* option : Options()) {
    std::string text;
    if (IsSwitch(*option)) {
      text = option->count() > 0 && option->results().back() != "false" ? "true" : "false";
    } else if (IsList(*option)) {
      text = "[";
      for (const std::string& one : option->results())
        text += fmt::format("{}{}", text.size() > 1 ? ", " : "", TomlString(one));
      text += "]";
    } else if (option->count() > 0) {
      text = InToml(*option, option->results().back());
    } else {
      // A default that was named stays: it may be nicer than what the variable prints.
      if (option->get_default_str().empty()) option->capture_default_str();
      text = InToml(*option, option->get_default_str());
    }
    values[KeyOf(*option)] = std::move(text);
  }
  return values;
}

std::string Settings::Render() const {
  std::string out = fmt::format("[{}]\n", table_);
  const std::map<std::string, std::string> values = Values();
  for (const CLI::Option* option : Options()) {
    const std::string key = KeyOf(*option);
    out += fmt::format("{} = {}  # {}\n", key, values.at(key), SourceOf(option));
  }
  return out;
}

}  // namespace weir
