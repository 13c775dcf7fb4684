#include "server/schema_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace weir {
namespace {

struct Keyword {
  std::string_view name;
  uint8_t types;  // whose values it speaks about; 0: any
};

constexpr Keyword kKeywords[] = {
    {"type", 0},
    {"enum", 0},
    {"const", 0},
    {"anyOf", 0},
    {"oneOf", 0},
    {"allOf", 0},
    {"$ref", 0},
    {"properties", kObjectType},
    {"required", kObjectType},
    {"additionalProperties", kObjectType},
    {"items", kArrayType},
    {"prefixItems", kArrayType},
    {"minItems", kArrayType},
    {"maxItems", kArrayType},
    {"minLength", kStringType},
    {"maxLength", kStringType},
    {"pattern", kStringType},
    {"format", kStringType},
    {"minimum", kNumberType},
    {"maximum", kNumberType},
    {"exclusiveMinimum", kNumberType},
    {"exclusiveMaximum", kNumberType},
};

constexpr std::string_view kAnnotations[] = {
    "title", "description", "default",    "examples", "$schema",   "$id",     "$comment",
    "$defs", "definitions", "deprecated", "readOnly", "writeOnly", "example", "$anchor"};

uint8_t TypeOfValue(const Json& value) {
  if (value.is_null()) return kNullType;
  if (value.is_boolean()) return kBooleanType;
  if (value.is_object()) return kObjectType;
  if (value.is_array()) return kArrayType;
  if (value.is_string()) return kStringType;
  return value.is_number_integer() ? kIntegerType : kNumberType;
}

// Integers are numbers.
uint8_t Widened(uint8_t types) {
  return types & kNumberType ? static_cast<uint8_t>(types | kIntegerType) : types;
}

uint8_t Intersection(uint8_t a, uint8_t b) {
  const uint8_t both = Widened(a) & Widened(b);
  return both & kNumberType ? both & ~kIntegerType : both;
}

// The listed values, or null.
std::vector<Json> ListedValues(const Json& schema, bool* listed) {
  std::vector<Json> out;
  *listed = true;
  if (const Json* one = FindJson(schema, {"const"})) {
    out.push_back(*one);
  } else if (const Json* many = FindJson(schema, {"enum"}); many != nullptr && many->is_array()) {
    out.assign(many->begin(), many->end());
  } else {
    *listed = false;
  }
  return out;
}

bool ListsAreDisjoint(const Json& a, const Json& b) {
  bool a_listed = false;
  bool b_listed = false;
  const std::vector<Json> xs = ListedValues(a, &a_listed);
  const std::vector<Json> ys = ListedValues(b, &b_listed);
  if (!a_listed || !b_listed) return false;
  return std::none_of(xs.begin(), xs.end(),
                      [&](const Json& x) { return std::find(ys.begin(), ys.end(), x) != ys.end(); });
}

bool Requires(const Json& schema, const std::string& name) {
  const Json* required = FindJson(schema, {"required"});
  return required != nullptr && required->is_array() &&
         std::find(required->begin(), required->end(), Json(name)) != required->end();
}

bool SameNames(const Json& a, const Json& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, unused] : a.items()) {
    if (!b.contains(name)) return false;
  }
  return true;
}

Json TypeList(uint8_t types) {
  constexpr std::pair<uint8_t, const char*> kNames[] = {
      {kNullType, "null"},     {kBooleanType, "boolean"}, {kObjectType, "object"}, {kArrayType, "array"},
      {kNumberType, "number"}, {kIntegerType, "integer"}, {kStringType, "string"}};
  Json out = Json::array();
  for (const auto& [bit, name] : kNames) {
    if (types & bit) out.push_back(name);
  }
  return out;
}

// Both values of one keyword.
Result<Json> Combine(const std::string& key, const Json& a, const Json& b, const std::string& pointer) {
  if (a == b) return a;
  if (key == "minLength" || key == "minItems" || key == "minimum" || key == "exclusiveMinimum") {
    if (a.is_number() && b.is_number()) return a.get<double>() >= b.get<double>() ? a : b;
  }
  if (key == "maxLength" || key == "maxItems" || key == "maximum" || key == "exclusiveMaximum") {
    if (a.is_number() && b.is_number()) return a.get<double>() <= b.get<double>() ? a : b;
  }
  if (key == "required" && a.is_array() && b.is_array()) {
    Json out = a;
    for (const Json& name : b) {
      if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
    }
    return out;
  }
  if (key == "enum" && a.is_array() && b.is_array()) {
    Json out = Json::array();
    for (const Json& value : a) {
      if (std::find(b.begin(), b.end(), value) != b.end()) out.push_back(value);
    }
    return out;
  }
  if (key == "properties" && a.is_object() && b.is_object()) {
    Json out = a;
    for (const auto& [name, schema] : b.items()) {
      if (out.contains(name)) {
        out[name] = Json{{"allOf", {out[name], schema}}};
      } else {
        out[name] = schema;
      }
    }
    return out;
  }
  if (key == "items" || key == "additionalProperties") {
    if (a.is_boolean()) return a.get<bool>() ? b : a;
    if (b.is_boolean()) return b.get<bool>() ? a : b;
    return Json{{"allOf", {a, b}}};
  }
  return SchemaError(pointer, fmt::format("two values of {} that both have to hold", key));
}

}  // namespace

bool IsAnnotation(std::string_view keyword) {
  return std::find(std::begin(kAnnotations), std::end(kAnnotations), keyword) != std::end(kAnnotations);
}

bool IsSupportedKeyword(std::string_view keyword) {
  return std::any_of(std::begin(kKeywords), std::end(kKeywords),
                     [&](const Keyword& k) { return k.name == keyword; });
}

std::string SupportedKeywords() {
  std::string out;
  for (const Keyword& keyword : kKeywords) out += (out.empty() ? "" : ", ") + std::string(keyword.name);
  return out;
}

bool HasConstraints(const Json& schema) {
  if (!schema.is_object()) return true;
  for (const auto& [key, unused] : schema.items()) {
    if (!IsAnnotation(key)) return true;
  }
  return false;
}

Status SchemaError(std::string_view pointer, std::string_view what) {
  return InvalidArgument(fmt::format("the schema at \"{}\" has {}", QuoteForMessage(pointer), what))
      .WithReason("unsupported_schema");
}

Result<uint8_t> TypesOf(const Json& schema, const std::string& pointer) {
  if (const Json* type = FindJson(schema, {"type"})) {
    uint8_t types = 0;
    for (const Json& one : type->is_array() ? *type : Json::array({*type})) {
      constexpr std::pair<std::string_view, uint8_t> kNames[] = {
          {"null", kNullType},     {"boolean", kBooleanType}, {"object", kObjectType}, {"array", kArrayType},
          {"number", kNumberType}, {"integer", kIntegerType}, {"string", kStringType}};
      const std::string name = one.is_string() ? one.get<std::string>() : "";
      const auto found = std::find_if(std::begin(kNames), std::end(kNames),
                                      [&](const auto& known) { return known.first == name; });
      if (found == std::end(kNames)) {
        return SchemaError(pointer + "/type",
                           fmt::format("{}, expected null, boolean, object, array, number, integer or string",
                                       QuoteForMessage(DumpJson(one))));
      }
      types |= found->second;
    }
    return types & kNumberType ? static_cast<uint8_t>(types & ~kIntegerType) : types;
  }
  bool listed = false;
  uint8_t types = 0;
  for (const Json& value : ListedValues(schema, &listed)) types |= TypeOfValue(value);
  if (listed) return types;
  // A keyword of one type says nothing about values of others; that they are meant out is the usual sense.
  for (const Keyword& keyword : kKeywords) {
    if (keyword.types == 0 || !schema.contains(keyword.name)) continue;
    if (types != 0 && types != keyword.types) {
      return SchemaError(pointer, "keywords of several types, expected \"type\" to say which are allowed");
    }
    types = keyword.types;
  }
  return types != 0 ? types : static_cast<uint8_t>(kAllTypes);
}

bool HasType(const Json& value, uint8_t types) { return (TypeOfValue(value) & Widened(types)) != 0; }

Result<Json> MergeSchemas(const Json& a, const Json& b, const std::string& pointer) {
  if (a.is_boolean()) return a.get<bool>() ? b : a;
  if (b.is_boolean()) return b.get<bool>() ? a : b;
  if (!a.is_object() || !b.is_object()) return SchemaError(pointer, "something that is no schema");
  // additionalProperties speaks about the names beside it, so it must mean the same names after the merge.
  for (const auto& [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    const Json* closed = FindJson(*one, {"additionalProperties"});
    const Json* others = FindJson(*other, {"properties"});
    if (closed == nullptr || others == nullptr || (closed->is_boolean() && closed->get<bool>())) continue;
    const Json* own = FindJson(*one, {"properties"});
    if (own == nullptr || !SameNames(*own, *others)) {
      return SchemaError(pointer,
                         "additionalProperties beside properties of another part that has to hold as well");
    }
  }
  Json out = a;
  for (const auto& [key, value] : b.items()) {
    if (IsAnnotation(key)) {
      continue;
    } else if (!out.contains(key)) {
      out[key] = value;
    } else if (key == "type") {
      WEIR_ASSIGN_OR_RETURN(const uint8_t x, TypesOf(a, pointer));
      WEIR_ASSIGN_OR_RETURN(const uint8_t y, TypesOf(b, pointer));
      out["type"] = TypeList(Intersection(x, y));
    } else {
      WEIR_ASSIGN_OR_RETURN(out[key], Combine(key, out[key], value, pointer));
    }
  }
  return out;
}

Result<bool> AreDisjoint(const Json& a, const Json& b, const std::string& pointer,
                         const ResolveRef& resolve) {
  WEIR_ASSIGN_OR_RETURN(const Json* x, resolve(a, pointer));
  WEIR_ASSIGN_OR_RETURN(const Json* y, resolve(b, pointer));
  if (!x->is_object() || !y->is_object()) return false;
  WEIR_ASSIGN_OR_RETURN(const uint8_t x_types, TypesOf(*x, pointer));
  WEIR_ASSIGN_OR_RETURN(const uint8_t y_types, TypesOf(*y, pointer));
  const uint8_t common = Intersection(x_types, y_types);
  if (common == 0 || ListsAreDisjoint(*x, *y)) return true;
  if (common != kObjectType) return false;
  const Json* xs = FindJson(*x, {"properties"});
  const Json* ys = FindJson(*y, {"properties"});
  if (xs == nullptr || ys == nullptr || !xs->is_object() || !ys->is_object()) return false;
  for (const auto& [name, schema] : xs->items()) {
    if (!ys->contains(name) || !Requires(*x, name) || !Requires(*y, name)) continue;
    WEIR_ASSIGN_OR_RETURN(const Json* left, resolve(schema, pointer));
    WEIR_ASSIGN_OR_RETURN(const Json* right, resolve((*ys)[name], pointer));
    if (ListsAreDisjoint(*left, *right)) return true;
  }
  return false;
}

}  // namespace weir
