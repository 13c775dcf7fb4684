// The part of the schema compiler that knows objects, arrays, strings and numbers.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "base/utf8.h"
#include "engine/grammar/pattern.h"
#include "server/schema_compiler.h"
#include "server/schema_merge.h"

namespace weir {
namespace {

struct Format {
  std::string_view name;
  std::string_view pattern;  // of texts that are right in every reading of the format
};

constexpr Format kFormats[] = {
    {"date", "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$"},
    {"time", "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"},
    {"date-time",
     "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6}"
     ")?"
     "(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"},
    {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"},
    {"ipv4",
     "^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$"},
    {"email",
     "^[a-z0-9]{1,20}([._-][a-z0-9]{1,20}){0,3}@[a-z0-9]{1,20}([.-][a-z0-9]{1,20}){0,2}\\.[a-z]{2,6}$"},
};

}  // namespace

// Properties in the schema's order. From every optional one on there is a rule for the rest, so that leaving it out costs
// no copies.
Result<ExpressionId> SchemaCompiler::Object(const Json& schema, const std::string& pointer) {
  Expressions& e = builder_.expressions();
  const Json* properties = FindJson(schema, {"properties"});
  const Json* extra = FindJson(schema, {"additionalProperties"});
  if (properties != nullptr && !properties->is_object()) {
    return SchemaError(pointer + "/properties", "something else than an object of schemas");
  }
  std::set<std::string> required;
  if (const Json* names = FindJson(schema, {"required"})) {
    if (!names->is_array()) return SchemaError(pointer + "/required", "something else than a list of names");
    for (const Json& name : *names) {
      if (!name.is_string()) return SchemaError(pointer + "/required", "something else than a list of names");
      if (properties == nullptr || !properties->contains(name.get_ref<const std::string&>())) {
        return SchemaError(pointer + "/required", fmt::format("\"{}\", which is not among the properties",
                                                              QuoteForMessage(name.get<std::string>())));
      }
      required.insert(name.get<std::string>());
    }
  }
  if (properties == nullptr && (extra == nullptr || *extra == Json(true))) return json_.AnyObject();
  const bool closed = extra == nullptr || *extra == Json(false);
  ExpressionId extra_member = -1;
  if (!closed) {
    WEIR_ASSIGN_OR_RETURN(extra_member, ExtraMember(properties, *extra, pointer));
  }

  std::vector<ExpressionId> members;
  std::vector<bool> is_required;
  if (properties != nullptr) {
    for (const auto& [name, part] : properties->items()) {
      WEIR_ASSIGN_OR_RETURN(const ExpressionId value,
                            Call(part, fmt::format("{}/properties/{}", pointer, name)));
      members.push_back(e.Sequence({e.Bytes(DumpJson(Json(name)) + ":"), json_.Space(), value}));
      is_required.push_back(required.count(name) > 0);
    }
  }
  const ExpressionId comma = e.Sequence({e.Bytes(","), json_.Space()});
  const ExpressionId end = e.Sequence({json_.Space(), e.Bytes("}")});
  const size_t count = members.size();
  // What follows once something was written: rests[i] from property i on.
  std::vector<ExpressionId> rests(count + 1);
  rests[count] = closed ? end : e.Sequence({e.Repeat(e.Sequence({comma, extra_member}), 0, -1), end});
  for (size_t i = count; i-- > 0;) {
    const ExpressionId with = e.Sequence({comma, members[i], rests[i + 1]});
    if (is_required[i]) {
      rests[i] = with;
      continue;
    }
    WEIR_ASSIGN_OR_RETURN(const int rule, builder_.Declare("a rest of properties"));
    builder_.Define(rule, e.Choice({with, rests[i + 1]}));
    rests[i] = e.Call(rule);
  }
  std::vector<ExpressionId> begins;
  size_t first = 0;
  for (; first < count; ++first) {
    begins.push_back(e.Sequence({json_.Space(), members[first], rests[first + 1]}));
    if (is_required[first]) break;
  }
  if (first == count) {
    begins.push_back(end);
    if (!closed) begins.push_back(e.Sequence({json_.Space(), extra_member, rests[count]}));
  }
  return e.Sequence({e.Bytes("{"), e.Choice(std::move(begins))});
}

// A name that is none of the properties, written without escapes, so that it cannot be one in disguise.
Result<ExpressionId> SchemaCompiler::ExtraMember(const Json* properties, const Json& schema,
                                                 const std::string& pointer) {
  builder_.AllowFreeKeys();
  Expressions& e = builder_.expressions();
  WEIR_ASSIGN_OR_RETURN(const ExpressionId value, Call(schema, pointer + "/additionalProperties"));
  ExpressionId name = e.Repeat(json_.PlainCharacter(), 0, -1);
  if (properties != nullptr && !properties->empty()) {
    std::vector<ExpressionId> taken;
    for (const auto& [known, unused] : properties->items()) taken.push_back(e.Bytes(known));
    WEIR_ASSIGN_OR_RETURN(const auto all, CompileExpression(e, name, builder_.budget()));
    WEIR_ASSIGN_OR_RETURN(const auto these,
                          CompileExpression(e, e.Choice(std::move(taken)), builder_.budget()));
    WEIR_ASSIGN_OR_RETURN(auto others, Subtract(*all, *these, builder_.budget()));
    name = e.Embed(std::move(others));
  }
  return e.Sequence({json_.Quoted(name), e.Bytes(":"), json_.Space(), value});
}

Result<ExpressionId> SchemaCompiler::Array(const Json& schema, const std::string& pointer) {
  Expressions& e = builder_.expressions();
  WEIR_ASSIGN_OR_RETURN(const int asked, Count(schema, "minItems", pointer));
  WEIR_ASSIGN_OR_RETURN(int most, Count(schema, "maxItems", pointer));
  const int least = std::max(0, asked);
  if (most >= 0 && most < least) return e.Choice({});
  const Json* items = FindJson(schema, {"items"});
  const Json* heads = FindJson(schema, {"prefixItems"});
  if (heads != nullptr && (!heads->is_array() || heads->size() > WorkBudget::kMaxRepeat)) {
    return SchemaError(pointer + "/prefixItems", "something else than a list of schemas");
  }
  if (items != nullptr && !items->is_object() && !items->is_boolean()) {
    return SchemaError(pointer + "/items",
                       "something that is no schema; positions are described by prefixItems");
  }
  const int num_heads = heads == nullptr ? 0 : static_cast<int>(heads->size());
  if (items == nullptr && num_heads == 0 && least == 0 && most < 0) return json_.AnyArray();
  ExpressionId item = -1;
  if (items != nullptr) {
    WEIR_ASSIGN_OR_RETURN(item, Call(*items, pointer + "/items"));
  } else if (num_heads == 0) {
    WEIR_ASSIGN_OR_RETURN(item, json_.AnyValue());
  }
  if (num_heads == 0) return json_.List('[', item, least, most, ']');
  if (item < 0) most = most < 0 ? num_heads : std::min(most, num_heads);

  // From the end: what may follow the first i items.
  const ExpressionId end = e.Sequence({json_.Space(), e.Bytes("]")});
  const ExpressionId comma = e.Sequence({e.Bytes(","), json_.Space()});
  ExpressionId rest = end;
  if (item >= 0 && (most < 0 || most > num_heads)) {
    const ExpressionId more =
        e.Repeat(e.Sequence({comma, item}), std::max(0, least - num_heads), most < 0 ? -1 : most - num_heads);
    rest = e.Sequence({more, end});
  } else if (least > num_heads) {
    return e.Choice({});
  }
  for (int i = num_heads - 1; i >= 0; --i) {
    if (most >= 0 && i >= most) continue;
    WEIR_ASSIGN_OR_RETURN(const ExpressionId head, Call((*heads)[static_cast<size_t>(i)],
                                                        fmt::format("{}/prefixItems/{}", pointer, i)));
    const ExpressionId one = e.Sequence({i == 0 ? json_.Space() : comma, head, rest});
    WEIR_ASSIGN_OR_RETURN(const int rule, builder_.Declare("a rest of items"));
    builder_.Define(rule, i >= least ? e.Choice({one, end}) : one);
    rest = e.Call(rule);
  }
  return e.Sequence({e.Bytes("["), rest});
}

Result<ExpressionId> SchemaCompiler::String(const Json& schema, const std::string& pointer) {
  Expressions& e = builder_.expressions();
  WEIR_ASSIGN_OR_RETURN(const int asked, Count(schema, "minLength", pointer));
  WEIR_ASSIGN_OR_RETURN(const int most, Count(schema, "maxLength", pointer));
  const int least = std::max(0, asked);
  if (most >= 0 && most < least) return e.Choice({});
  std::vector<ExpressionId> bodies;
  if (const Json* pattern = FindJson(schema, {"pattern"})) {
    if (!pattern->is_string()) return SchemaError(pointer + "/pattern", "something else than a string");
    Result<ExpressionId> body = ParsePattern(pattern->get_ref<const std::string&>(), &json_, &e);
    if (!body.has_value()) return SchemaError(pointer + "/pattern", "a fault: " + body.error().message());
    bodies.push_back(*body);
  }
  if (const Json* format = FindJson(schema, {"format"})) {
    std::string names;
    const Format* found = nullptr;
    for (const Format& known : kFormats) {
      names += (names.empty() ? "" : ", ") + std::string(known.name);
      if (*format == Json(known.name)) found = &known;
    }
    if (found == nullptr) {
      return SchemaError(pointer + "/format", fmt::format("{}; this server can enforce {}",
                                                          QuoteForMessage(DumpJson(*format)), names));
    }
    WEIR_ASSIGN_OR_RETURN(const ExpressionId body, ParsePattern(found->pattern, &json_, &e));
    bodies.push_back(body);
  }
  if (bodies.empty()) return json_.String(least, most);
  if (least > 0 || most >= 0) bodies.push_back(e.Repeat(json_.Character(), least, most));
  if (bodies.size() == 1) return json_.Quoted(bodies[0]);
  WEIR_ASSIGN_OR_RETURN(auto all, CompileExpression(e, bodies[0], builder_.budget()));
  for (size_t i = 1; i < bodies.size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(const auto other, CompileExpression(e, bodies[i], builder_.budget()));
    WEIR_ASSIGN_OR_RETURN(all, Intersect(*all, *other, builder_.budget()));
  }
  return json_.Quoted(e.Embed(std::move(all)));
}

// A number with bounds is written as an integer and, where a whole unit lies within them, digits behind the point.
Result<ExpressionId> SchemaCompiler::Number(const Json& schema, bool integer, const std::string& pointer) {
  Expressions& e = builder_.expressions();
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool bounded = false;
  for (const char* keyword : {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
    const Json* found = FindJson(schema, {keyword});
    if (found == nullptr) continue;
    const std::optional<double> value = JsonNumber(found);
    if (!value) return SchemaError(fmt::format("{}/{}", pointer, keyword), "something else than a number");
    bounded = true;
    const std::string_view name = keyword;
    if (name == "minimum") low = std::max(low, std::ceil(*value));
    if (name == "exclusiveMinimum") low = std::max(low, std::floor(*value) + 1);
    if (name == "maximum") high = std::min(high, std::floor(*value));
    if (name == "exclusiveMaximum") high = std::min(high, std::ceil(*value) - 1);
  }
  if (!bounded) return integer ? json_.Integer() : json_.Number();
  constexpr auto kMost = static_cast<double>(JsonRules::kLargestInteger);
  const auto least = static_cast<int64_t>(std::clamp(low, -kMost, kMost));
  const auto most = static_cast<int64_t>(std::clamp(high, -kMost, kMost));
  if (low > high || low > kMost || high < -kMost) {
    return SchemaError(
        pointer,
        "bounds between which no integer of at most 15 digits lies; a number needs a whole one there");
  }
  std::vector<ExpressionId> choices = {json_.IntegerBetween(least, most)};
  if (!integer) {
    const ExpressionId fraction = e.Sequence({e.Bytes("."), e.Repeat(e.Range('0', '9'), 1, 15)});
    // n.5 lies between n and n + 1, and -n.5 between -n - 1 and -n.
    if (std::max<int64_t>(0, least) < most)
      choices.push_back(e.Sequence({json_.IntegerBetween(std::max<int64_t>(0, least), most - 1), fraction}));
    if (least < std::min<int64_t>(0, most)) {
      choices.push_back(e.Sequence(
          {e.Bytes("-"), json_.IntegerBetween(std::max<int64_t>(0, -most), -least - 1), fraction}));
    }
  }
  return e.Choice(std::move(choices));
}

}  // namespace weir
