#include "net/openai/field_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/utf8.h"

namespace weir {
namespace {

constexpr size_t kMaxIgnoredNamed = 8;

bool HasType(const Json& value, FieldType type) {
  switch (type) {
    case FieldType::kBool:
      return value.is_boolean();
    case FieldType::kInteger:
      return value.is_number_integer();
    case FieldType::kNumber:
      return value.is_number();
    case FieldType::kString:
      return value.is_string();
    case FieldType::kStringOrStrings:
      return value.is_string() || value.is_array();
    case FieldType::kIntegers:
    case FieldType::kArray:
      return value.is_array();
    case FieldType::kObject:
      return value.is_object();
    case FieldType::kAny:
      break;
  }
  return true;
}

bool FitsInt64(const Json& value) {
  return !value.is_number_unsigned() ||
         value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
}

std::string RangeText(const Field& field) {
  constexpr double kHuge = 9e18;
  if (field.most > kHuge && field.least < -kHuge) return "a 64-bit integer";
  if (field.most > kHuge) return fmt::format("at least {}", field.least);
  if (field.excludes_least) return fmt::format("above {}, at most {}", field.least, field.most);
  return fmt::format("{} to {}", field.least, field.most);
}

Status CheckSize(const Field& field, size_t size, std::string_view unit) {
  if (field.least == 0 && field.most == 0) return OkStatus();
  const auto count = static_cast<double>(size);
  if (count >= field.least && count <= field.most) return OkStatus();
  return InvalidValue(
      fmt::format("{} has {} {}, expected {} to {}", field.name, size, unit, field.least, field.most),
      std::string(field.name));
}

Status CheckNumber(const Field& field, const Json& value) {
  if (field.type == FieldType::kInteger && !FitsInt64(value)) {
    return InvalidValue(fmt::format("{} is {}, expected {}", field.name, value.dump(), RangeText(field)),
                        std::string(field.name));
  }
  const double number = value.get<double>();
  // Written so that NaN would fail.
  const bool above = field.excludes_least ? number > field.least : number >= field.least;
  if (above && number <= field.most) return OkStatus();
  return InvalidValue(fmt::format("{} is {}, expected {}", field.name, value.dump(), RangeText(field)),
                      std::string(field.name));
}

// Values of what is accepted without effect: short texts.
Status CheckPairs(const Field& field, const Json& object) {
  constexpr size_t kMaxBytes = 512;
  for (const auto& [key, value] : object.items()) {
    const std::string where = fmt::format("{}.{}", field.name, QuoteForMessage(key));
    if (!value.is_string()) return InvalidType(value, "a string", where);
    const size_t size = std::max(key.size(), value.get_ref<const std::string&>().size());
    if (size > kMaxBytes) {
      return InvalidValue(fmt::format("{} has {} bytes, expected at most {}", where, size, kMaxBytes), where);
    }
  }
  return OkStatus();
}

Status CheckElements(const Field& field, const Json& array) {
  for (size_t i = 0; i < array.size(); ++i) {
    const bool ok = field.type == FieldType::kIntegers ? array[i].is_number_integer() : array[i].is_string();
    const std::string where = fmt::format("{}[{}]", field.name, i);
    if (!ok)
      return InvalidType(array[i], field.type == FieldType::kIntegers ? "an integer" : "a string", where);
    if (field.type == FieldType::kIntegers && !FitsInt64(array[i])) {
      return InvalidValue(fmt::format("{} is {}, which is no token id", where, array[i].dump()), where);
    }
  }
  return OkStatus();
}

Status CheckField(const Field& field, const Json& value) {
  const std::string name(field.name);
  switch (field.use) {
    case FieldUse::kUnsupported:
      return Unsupported(fmt::format("{} is not supported by this server; leave it out", name), name);
    case FieldUse::kTemplateOverride:
      return InvalidArgument(
                 fmt::format("{} is not accepted: clients may not replace the model's chat template", name))
          .WithReason("template_override_disabled")
          .WithParam(name);
    case FieldUse::kUnsupportedTrue:
    case FieldUse::kUsed:
    case FieldUse::kNoEffect:
      break;
  }
  if (!HasType(value, field.type)) return InvalidType(value, TypeName(field.type), name);
  if (field.use == FieldUse::kUnsupportedTrue && value.get<bool>()) {
    return Unsupported(fmt::format("{} is not supported by this server; leave it out", name), name);
  }
  switch (field.type) {
    case FieldType::kInteger:
    case FieldType::kNumber:
      return CheckNumber(field, value);
    case FieldType::kString:
      return CheckSize(field, value.get_ref<const std::string&>().size(), "bytes");
    case FieldType::kObject:
      WEIR_RETURN_IF_ERROR(CheckSize(field, value.size(), "entries"));
      return field.use == FieldUse::kNoEffect ? CheckPairs(field, value) : OkStatus();
    case FieldType::kArray:
      return CheckSize(field, value.size(), "entries");
    case FieldType::kIntegers:
    case FieldType::kStringOrStrings:
      if (value.is_string()) return OkStatus();
      WEIR_RETURN_IF_ERROR(CheckSize(field, value.size(), "entries"));
      return CheckElements(field, value);
    case FieldType::kBool:
    case FieldType::kAny:
      break;
  }
  return OkStatus();
}

}  // namespace

std::string_view TypeName(FieldType type) {
  switch (type) {
    case FieldType::kBool:
      return "true or false";
    case FieldType::kInteger:
      return "an integer";
    case FieldType::kNumber:
      return "a number";
    case FieldType::kString:
      return "a string";
    case FieldType::kStringOrStrings:
      return "a string or an array of strings";
    case FieldType::kIntegers:
      return "an array of integers";
    case FieldType::kObject:
      return "an object";
    case FieldType::kArray:
      return "an array";
    case FieldType::kAny:
      break;
  }
  return "a value";
}

Status InvalidValue(std::string message, std::string param) {
  return InvalidArgument(std::move(message)).WithReason("invalid_value").WithParam(std::move(param));
}

Status InvalidType(const Json& found, std::string_view expected, std::string param) {
  return InvalidArgument(fmt::format("{} is {}, expected {}", param, JsonTypeName(found), expected))
      .WithReason("invalid_type")
      .WithParam(std::move(param));
}

Status MissingField(std::string_view name) {
  return InvalidArgument(fmt::format("{} is missing; it is required", name))
      .WithReason("missing_required_parameter")
      .WithParam(std::string(name));
}

Status Unsupported(std::string message, std::string param) {
  return InvalidArgument(std::move(message)).WithReason("unsupported_parameter").WithParam(std::move(param));
}

std::string_view JsonTypeName(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "a boolean";
  if (value.is_number_integer()) return "an integer";
  if (value.is_number()) return "a number";
  if (value.is_string()) return "a string";
  return value.is_array() ? "an array" : "an object";
}

Result<FieldReader> FieldReader::Create(std::string_view body, Endpoint endpoint) {
  FieldReader reader;
  WEIR_ASSIGN_OR_RETURN(reader.body_, ParseJson(body));
  reader.endpoint_ = endpoint;
  if (!reader.body_.is_object()) {
    return InvalidArgument(
               fmt::format("the request body is {}, expected a JSON object", JsonTypeName(reader.body_)))
        .WithReason("invalid_type");
  }
  WEIR_RETURN_IF_ERROR(reader.Check());
  return reader;
}

Status FieldReader::Check() {
  for (const auto& [name, value] : body_.items()) {
    if (value.is_null()) continue;
    const Field* field = FindField(name, endpoint_);
    if (field != nullptr) {
      WEIR_RETURN_IF_ERROR(CheckField(*field, value));
    } else if (ignored_fields_.size() < kMaxIgnoredNamed) {
      const std::string_view nearest = NearestField(name, endpoint_);
      ignored_fields_.push_back(nearest.empty()
                                    ? QuoteForMessage(name)
                                    : fmt::format("{} (nearest: {})", QuoteForMessage(name), nearest));
    }
  }
  return OkStatus();
}

const Json* FieldReader::Find(std::string_view name) const {
  const Json* found = FindJson(body_, {name});
  return found == nullptr || found->is_null() ? nullptr : found;
}

bool FieldReader::Bool(std::string_view name, bool otherwise) const {
  const Json* found = Find(name);
  return found == nullptr ? otherwise : found->get<bool>();
}

int64_t FieldReader::Integer(std::string_view name, int64_t otherwise) const {
  const Json* found = Find(name);
  return found == nullptr ? otherwise : found->get<int64_t>();
}

double FieldReader::Number(std::string_view name, double otherwise) const {
  const Json* found = Find(name);
  return found == nullptr ? otherwise : found->get<double>();
}

std::string FieldReader::String(std::string_view name) const {
  const Json* found = Find(name);
  return found == nullptr ? "" : found->get<std::string>();
}

std::vector<int64_t> FieldReader::Integers(std::string_view name) const {
  const Json* found = Find(name);
  return found == nullptr ? std::vector<int64_t>() : found->get<std::vector<int64_t>>();
}

}  // namespace weir
