// Every request field the API knows: the one table that the validator, /openapi.json and docs/API.md share.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace weir {

enum Endpoint : uint8_t {
  kChatEndpoint = 1,
  kCompletionEndpoint = 2,
  kTokenizeEndpoint = 4,
  kDetokenizeEndpoint = 8,
  kGenerationEndpoints = kChatEndpoint | kCompletionEndpoint,
};

enum class FieldType : uint8_t {
  kBool,
  kInteger,  // JSON integers only: 1.0 and "1" are errors
  kNumber,
  kString,
  kStringOrStrings,
  kIntegers,
  kObject,
  kArray,
  kAny,
};

enum class FieldUse : uint8_t {
  kUsed,
  kNoEffect,          // accepted, checked for type, without effect
  kUnsupported,       // changes the answer, so it is refused rather than ignored
  kUnsupportedTrue,   // the same, but false changes nothing
  kTemplateOverride,  // refused with a code of its own
};

struct Field {
  std::string_view name;
  uint8_t endpoints;
  FieldType type;
  FieldUse use = FieldUse::kUsed;
  double least = 0;  // of a number, a string's bytes, or a list's length; both zero: unbounded
  double most = 0;
  bool excludes_least = false;
  std::string_view default_text = "";
};

std::span<const Field> Fields();
// Null for a field of other servers that is nobody's business here. Takes the endpoint into account, because "logprobs"
// is a bool to one and a number to the other.
const Field* FindField(std::string_view name, Endpoint endpoint);
// The known field closest in spelling, or empty.
std::string_view NearestField(std::string_view name, Endpoint endpoint);

}  // namespace weir
