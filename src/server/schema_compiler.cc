#include "server/schema_compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "server/schema_merge.h"

namespace weir {
namespace {

constexpr int kMaxInline = 64;  // schemas inside each other that are compiled in one go

Json Without(const Json& schema, std::string_view keyword) {
  Json out = Json::object();
  for (const auto& [key, value] : schema.items()) {
    if (key != keyword && !IsAnnotation(key)) out[key] = value;
  }
  return out;
}

Status CheckKeywords(const Json& schema, const std::string& pointer) {
  for (const auto& [key, unused] : schema.items()) {
    if (IsAnnotation(key) || IsSupportedKeyword(key)) continue;
    return SchemaError(pointer,
                       fmt::format("the keyword \"{}\", which this server cannot enforce; it knows {}",
                                   QuoteForMessage(key), SupportedKeywords()));
  }
  return OkStatus();
}

std::string Child(const std::string& pointer, std::string_view name) {
  return fmt::format("{}/{}", pointer, name);
}

}  // namespace

Result<ExpressionId> SchemaCompiler::Call(const Json& schema, const std::string& pointer) {
  const auto known = rules_.find(&schema);
  if (known != rules_.end()) return builder_.expressions().Call(known->second);
  WEIR_ASSIGN_OR_RETURN(const int rule,
                        builder_.Declare(fmt::format("the schema at \"{}\"", QuoteForMessage(pointer))));
  rules_.emplace(&schema, rule);
  waiting_.push_back({&schema, pointer, rule});
  return builder_.expressions().Call(rule);
}

Status SchemaCompiler::Finish() {
  while (!waiting_.empty()) {
    const Work work = std::move(waiting_.back());
    waiting_.pop_back();
    WEIR_ASSIGN_OR_RETURN(const ExpressionId body, Value(*work.schema, work.pointer, 0));
    builder_.Define(work.rule, body);
  }
  return OkStatus();
}

// Only within the document: nothing is ever fetched.
Result<const Json*> SchemaCompiler::Resolve(const Json& schema, const std::string& pointer) const {
  const Json* now = &schema;
  for (int hops = 0; now->is_object() && now->contains("$ref"); ++hops) {
    const Json& ref = (*now)["$ref"];
    if (HasConstraints(Without(*now, "$ref"))) return now;
    if (!ref.is_string()) return SchemaError(pointer + "/$ref", "something else than a string");
    const auto& text = ref.get_ref<const std::string&>();
    if (hops > kMaxInline) return SchemaError(pointer, "a $ref that leads in a circle");
    if (!text.starts_with('#') || (text.size() > 1 && text[1] != '/')) {
      return SchemaError(
          pointer, fmt::format("the $ref \"{}\"; only references within the schema, as \"#/$defs/name\", "
                               "are followed",
                               QuoteForMessage(text)));
    }
    const Json* target = &root_;
    std::string_view rest = std::string_view(text).substr(1);
    while (target != nullptr && !rest.empty()) {
      rest.remove_prefix(1);
      std::string name;
      while (!rest.empty() && rest[0] != '/') {
        const bool escaped = rest[0] == '~' && rest.size() > 1 && (rest[1] == '0' || rest[1] == '1');
        name += escaped ? (rest[1] == '0' ? '~' : '/') : rest[0];
        rest.remove_prefix(escaped ? 2 : 1);
      }
      if (target->is_array()) {
        const bool is_index =
            !name.empty() && name.size() < 7 &&
            std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
        const size_t index = is_index ? std::stoul(name) : target->size();
        target = index < target->size() ? &(*target)[index] : nullptr;
      } else {
        target = FindJson(*target, {name});
      }
    }
    if (target == nullptr || !(target->is_object() || target->is_boolean())) {
      return SchemaError(pointer,
                         fmt::format("the $ref \"{}\", which leads to no schema", QuoteForMessage(text)));
    }
    now = target;
  }
  return now;
}

Result<ExpressionId> SchemaCompiler::Value(const Json& schema, const std::string& pointer, int depth) {
  if (schema.is_boolean()) {
    if (schema.get<bool>()) return json_.AnyValue();
    return builder_.expressions().Choice({});
  }
  if (!schema.is_object()) return SchemaError(pointer, "something that is no schema");
  if (depth > kMaxInline) return SchemaError(pointer, "parts nested too deeply");
  WEIR_RETURN_IF_ERROR(CheckKeywords(schema, pointer));
  if (schema.contains("$ref")) {
    WEIR_ASSIGN_OR_RETURN(const Json* target, Resolve(schema, pointer));
    if (target != &schema)
      return Call(*target, schema["$ref"].is_string() ? schema["$ref"].get<std::string>() : pointer);
    // With constraints beside it: both have to hold.
    const Json both = {{"allOf", {{{"$ref", schema["$ref"]}}, Without(schema, "$ref")}}};
    return Value(Own(both), pointer, depth + 1);
  }
  if (schema.contains("allOf")) return AllOf(schema, pointer, depth);
  if (schema.contains("anyOf") && schema.contains("oneOf")) {
    return SchemaError(pointer, "anyOf beside oneOf, which cannot be combined here");
  }
  for (const char* keyword : {"anyOf", "oneOf"}) {
    if (schema.contains(keyword)) return AnyOf(schema, keyword, pointer, depth);
  }
  if (schema.contains("enum") || schema.contains("const")) return Listed(schema, pointer);
  WEIR_ASSIGN_OR_RETURN(const uint8_t types, TypesOf(schema, pointer));
  if (types == kAllTypes) return json_.AnyValue();
  std::vector<ExpressionId> choices;
  for (int bit = 1; bit <= kStringType; bit <<= 1) {
    if (!(types & bit)) continue;
    WEIR_ASSIGN_OR_RETURN(const ExpressionId choice, OfType(schema, static_cast<uint8_t>(bit), pointer));
    choices.push_back(choice);
  }
  return builder_.expressions().Choice(std::move(choices));
}

Result<ExpressionId> SchemaCompiler::AllOf(const Json& schema, const std::string& pointer, int depth) {
  const Json& parts = schema["allOf"];
  if (!parts.is_array() || parts.empty())
    return SchemaError(pointer + "/allOf", "something else than a list of schemas");
  Json merged = Without(schema, "allOf");
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string at = fmt::format("{}/allOf/{}", pointer, i);
    WEIR_ASSIGN_OR_RETURN(const Json* part, Resolve(parts[i], at));
    if (part->is_object()) WEIR_RETURN_IF_ERROR(CheckKeywords(*part, at));
    WEIR_RETURN_IF_ERROR(builder_.budget()->Spend(static_cast<int64_t>(part->size() + merged.size())));
    WEIR_ASSIGN_OR_RETURN(merged, MergeSchemas(merged, *part, at));
  }
  return Value(Own(std::move(merged)), pointer, depth + 1);
}

Result<ExpressionId> SchemaCompiler::AnyOf(const Json& schema, const char* keyword,
                                           const std::string& pointer, int depth) {
  const Json& branches = schema[keyword];
  const std::string here = Child(pointer, keyword);
  if (!branches.is_array() || branches.empty())
    return SchemaError(here, "something else than a list of schemas");
  if (keyword == std::string_view("oneOf")) {
    const ResolveRef resolve = [this](const Json& one, const std::string& at) { return Resolve(one, at); };
    for (size_t i = 0; i < branches.size(); ++i) {
      for (size_t k = 0; k < i; ++k) {
        WEIR_RETURN_IF_ERROR(builder_.budget()->Spend(100));
        WEIR_ASSIGN_OR_RETURN(const bool disjoint, AreDisjoint(branches[k], branches[i], here, resolve));
        if (disjoint) continue;
        return SchemaError(
            here, fmt::format("the schemas {} and {}, which one value may match both; use anyOf, or tell "
                              "them apart by type or by a required property with different const or enum",
                              k, i));
      }
    }
  }
  const Json base = Without(schema, keyword);
  std::vector<ExpressionId> choices;
  for (size_t i = 0; i < branches.size(); ++i) {
    const std::string at = fmt::format("{}/{}", here, i);
    if (base.empty()) {
      WEIR_ASSIGN_OR_RETURN(const ExpressionId choice, Call(branches[i], at));
      choices.push_back(choice);
      continue;
    }
    const Json both = {{"allOf", {base, branches[i]}}};
    WEIR_ASSIGN_OR_RETURN(const ExpressionId choice, Value(Own(both), at, depth + 1));
    choices.push_back(choice);
  }
  return builder_.expressions().Choice(std::move(choices));
}

Result<ExpressionId> SchemaCompiler::Listed(const Json& schema, const std::string& pointer) {
  for (const auto& [key, unused] : schema.items()) {
    if (IsAnnotation(key) || key == "type" || key == "enum" || key == "const") continue;
    return SchemaError(pointer,
                       fmt::format("{} beside a list of values; list only the values that match it", key));
  }
  const Json* list = FindJson(schema, {"enum"});
  if (list != nullptr && !list->is_array())
    return SchemaError(pointer + "/enum", "something else than a list");
  const Json* one = FindJson(schema, {"const"});
  uint8_t types = kAllTypes;
  if (schema.contains("type")) {
    WEIR_ASSIGN_OR_RETURN(types, TypesOf(schema, pointer));
  }
  std::vector<ExpressionId> choices;
  for (const Json& value : list != nullptr ? *list : Json::array({*one})) {
    if (!HasType(value, types) || (one != nullptr && value != *one)) continue;
    choices.push_back(builder_.expressions().Bytes(DumpJson(value)));
  }
  return builder_.expressions().Choice(std::move(choices));
}

Result<ExpressionId> SchemaCompiler::OfType(const Json& schema, uint8_t type, const std::string& pointer) {
  Expressions& e = builder_.expressions();
  switch (type) {
    case kNullType:
      return e.Bytes("null");
    case kBooleanType:
      return e.Choice({e.Bytes("true"), e.Bytes("false")});
    case kObjectType:
      return Object(schema, pointer);
    case kArrayType:
      return Array(schema, pointer);
    case kStringType:
      return String(schema, pointer);
    default:
      return Number(schema, type == kIntegerType, pointer);
  }
}

Result<int> SchemaCompiler::Count(const Json& schema, const char* keyword, const std::string& pointer) const {
  const Json* found = FindJson(schema, {keyword});
  if (found == nullptr) return -1;
  const std::optional<double> value = JsonNumber(found);
  if (!value || !(*value >= 0) ||
      *value != static_cast<double>(static_cast<int64_t>(std::min(*value, 1e15)))) {
    return SchemaError(Child(pointer, keyword), "something else than a count");
  }
  if (*value > WorkBudget::kMaxRepeat) {
    return SchemaError(Child(pointer, keyword), fmt::format("a count above {}", WorkBudget::kMaxRepeat));
  }
  return static_cast<int>(*value);
}

}  // namespace weir
