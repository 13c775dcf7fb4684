#include "base/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <unordered_set>

#include "base/file.h"

namespace weir {
namespace {

Status Invalid(const std::string& detail) {
  return InvalidArgument(fmt::format("the text is not valid JSON: {}", detail)).WithReason("invalid_json");
}

Result<Json> Convert(simdjson::dom::element element) {
  using simdjson::dom::element_type;
  switch (element.type()) {
    case element_type::ARRAY: {
      Json out = Json::array();
      for (simdjson::dom::element child : simdjson::dom::array(element.get_array().value_unsafe())) {
        WEIR_ASSIGN_OR_RETURN(Json value, Convert(child));
        out.push_back(std::move(value));
      }
      return out;
    }
    case element_type::OBJECT: {
      // ordered_json is a vector of pairs: its own duplicate check would cost n squared on hostile objects.
      Json out = Json::object();
      auto& pairs = out.get_ref<Json::object_t&>();
      std::unordered_set<std::string_view> keys;
      for (simdjson::dom::key_value_pair field : simdjson::dom::object(element.get_object().value_unsafe())) {
        if (!keys.insert(field.key).second)
          return Invalid(fmt::format("duplicate key \"{}\"", field.key.substr(0, 64)));
        WEIR_ASSIGN_OR_RETURN(Json value, Convert(field.value));
        static_cast<std::vector<Json::object_t::value_type, Json::object_t::allocator_type>&>(pairs)
            .emplace_back(std::string(field.key), std::move(value));
      }
      return out;
    }
    case element_type::INT64:
      return Json(element.get_int64().value_unsafe());
    case element_type::UINT64:
      return Json(element.get_uint64().value_unsafe());
    case element_type::DOUBLE:
      return Json(element.get_double().value_unsafe());
    case element_type::STRING:
      return Json(std::string(element.get_string().value_unsafe()));
    case element_type::BOOL:
      return Json(element.get_bool().value_unsafe());
    case element_type::NULL_VALUE:
      return Json(nullptr);
  }
  return Invalid("unknown element");
}

// An integer that neither 64-bit type holds.
bool IsLongInteger(std::string_view number) {
  const bool is_negative = number.starts_with('-');
  const std::string_view digits = number.substr(is_negative ? 1 : 0);
  const std::string_view largest = is_negative ? "9223372036854775808" : "18446744073709551615";
  if (digits.find_first_not_of("0123456789") != std::string_view::npos) return false;
  return digits.size() > largest.size() || (digits.size() == largest.size() && digits > largest);
}

// Such integers with ".0" behind them, which makes them doubles; empty when there are none. Python writes them, and the
// configuration of many published models has one: "model_max_length": 1000000000000000019884624838656.
std::string WithLongIntegersAsDoubles(std::string_view text) {
  std::string out;
  size_t copied = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i)
        if (text[i] == '\\') ++i;
      continue;
    }
    const size_t end = std::min(text.find_first_not_of("0123456789+-.eE", i), text.size());
    if (end > i && IsLongInteger(text.substr(i, end - i))) {
      out.append(text.substr(copied, end - copied)).append(".0");
      copied = end;
    }
    if (end > i) i = end - 1;
  }
  return copied == 0 ? out : out.append(text.substr(copied));
}

}  // namespace

Result<Json> ParseJson(std::string_view text, int max_depth) {
  if (text.starts_with("\xEF\xBB\xBF")) return Invalid("it starts with a byte order mark; send plain UTF-8");
  simdjson::dom::parser parser;
  if (parser.allocate(std::max<size_t>(text.size(), 64), static_cast<size_t>(max_depth)) !=
      simdjson::SUCCESS) {
    return Invalid("too large");
  }
  simdjson::dom::element root;
  simdjson::error_code error = parser.parse(text.data(), text.size()).get(root);
  if (error == simdjson::NUMBER_ERROR) {
    const std::string widened = WithLongIntegersAsDoubles(text);
    if (!widened.empty()) error = parser.parse(widened).get(root);
    if (error == simdjson::SUCCESS) return Convert(root);
  }
  if (error == simdjson::DEPTH_ERROR) return Invalid(fmt::format("nested deeper than {} levels", max_depth));
  if (error != simdjson::SUCCESS) return Invalid(simdjson::error_message(error));
  return Convert(root);
}

Result<Json> ReadJsonFile(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
  Result<Json> parsed = ParseJson(content);
  if (!parsed) return DataLoss(fmt::format("'{}': {}", path, parsed.error().message()));
  return parsed;
}

std::string DumpJson(const Json& value) {
  return value.dump(-1, ' ', false, nlohmann::detail::error_handler_t::replace);
}

std::string DumpJsonPretty(const Json& value) {
  return value.dump(2, ' ', false, nlohmann::detail::error_handler_t::replace) + "\n";
}

const Json* FindJson(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* current = &value;
  for (std::string_view key : path) {
    if (!current->is_object()) return nullptr;
    auto found = current->find(std::string(key));
    if (found == current->end()) return nullptr;
    current = &*found;
  }
  return current;
}

std::optional<double> JsonNumber(const Json* value) {
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->get<double>();
}

std::optional<std::string> JsonString(const Json* value) {
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return value->get<std::string>();
}

}  // namespace weir
