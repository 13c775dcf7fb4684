// Two JSON schemas that must both hold, as one; and whether two schemas exclude each other.
//
// Errors    INVALID_ARGUMENT "unsupported_schema" when their keywords do not combine into ones that we know
// Threads   any
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace weir {

enum JsonType : uint8_t {
  kNullType = 1,
  kBooleanType = 2,
  kObjectType = 4,
  kArrayType = 8,
  kNumberType = 16,
  kIntegerType = 32,  // a number too; kNumberType alone holds integers as well
  kStringType = 64,
  kAllTypes = kNullType | kBooleanType | kObjectType | kArrayType | kNumberType | kStringType,
};

// Says nothing about which values match.
bool IsAnnotation(std::string_view keyword);
bool IsSupportedKeyword(std::string_view keyword);
std::string SupportedKeywords();
// Anything besides annotations.
bool HasConstraints(const Json& schema);
Status SchemaError(std::string_view pointer, std::string_view what);

// By `type`, else by the values listed, else by keywords of one type; an error names the place.
Result<uint8_t> TypesOf(const Json& schema, const std::string& pointer);
bool HasType(const Json& value, uint8_t types);

// Follows a $ref that stands alone; others come back as they are.
using ResolveRef = std::function<Result<const Json*>(const Json& schema, const std::string& pointer)>;

Result<Json> MergeSchemas(const Json& a, const Json& b, const std::string& pointer);
// False when it cannot be told.
Result<bool> AreDisjoint(const Json& a, const Json& b, const std::string& pointer, const ResolveRef& resolve);

}  // namespace weir
