// A request body held against the field table: afterwards every known field has its type and lies in its range.
//
// Errors    as request_parser.h
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "net/openai/parameter_table.h"

namespace weir {

Status InvalidValue(std::string message, std::string param);
Status InvalidType(const Json& found, std::string_view expected, std::string param);
Status MissingField(std::string_view name);
Status Unsupported(std::string message, std::string param);
// "a string", "an integer": for messages.
std::string_view TypeName(FieldType type);
std::string_view JsonTypeName(const Json& value);

class FieldReader {
 public:
  static Result<FieldReader> Create(std::string_view body, Endpoint endpoint);

  // Null when absent or null.
  const Json* Find(std::string_view name) const;
  bool Bool(std::string_view name, bool otherwise) const;
  int64_t Integer(std::string_view name, int64_t otherwise) const;
  double Number(std::string_view name, double otherwise) const;
  std::string String(std::string_view name) const;
  std::vector<int64_t> Integers(std::string_view name) const;

  const std::vector<std::string>& ignored_fields() const { return ignored_fields_; }

 private:
  Status Check();

  Json body_;
  Endpoint endpoint_ = kChatEndpoint;
  std::vector<std::string> ignored_fields_;
};

}  // namespace weir
