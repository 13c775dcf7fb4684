// One schema on its way to rules: every part that can be named gets a rule of its own, so recursion is a call.
//
// Requires  the root schema and the builder outlive it
// Errors    as schema_grammar.h
// Threads   one compilation, one thread
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/json_rules.h"

namespace weir {

class SchemaCompiler {
 public:
  SchemaCompiler(const Json& root, GrammarBuilder* builder)
      : root_(root), builder_(*builder), json_(builder) {}

  // The expression of a schema that is part of the root or was handed over by Own(). Call Finish() once afterwards.
  Result<ExpressionId> Call(const Json& schema, const std::string& pointer);
  // Compiles what was only declared yet.
  Status Finish();
  const Json& Own(Json schema) { return owned_.emplace_back(std::move(schema)); }
  JsonRules& json() { return json_; }

 private:
  struct Work {
    const Json* schema;
    std::string pointer;
    int rule;
  };

  Result<const Json*> Resolve(const Json& schema, const std::string& pointer) const;
  Result<ExpressionId> Value(const Json& schema, const std::string& pointer, int depth);
  Result<ExpressionId> AllOf(const Json& schema, const std::string& pointer, int depth);
  Result<ExpressionId> AnyOf(const Json& schema, const char* keyword, const std::string& pointer, int depth);
  Result<ExpressionId> Listed(const Json& schema, const std::string& pointer);
  Result<ExpressionId> OfType(const Json& schema, uint8_t type, const std::string& pointer);
  Result<ExpressionId> Object(const Json& schema, const std::string& pointer);
  Result<ExpressionId> ExtraMember(const Json* properties, const Json& schema, const std::string& pointer);
  Result<ExpressionId> Array(const Json& schema, const std::string& pointer);
  Result<ExpressionId> String(const Json& schema, const std::string& pointer);
  Result<ExpressionId> Number(const Json& schema, bool integer, const std::string& pointer);
  // A bound that is a count; -1 without one.
  Result<int> Count(const Json& schema, const char* keyword, const std::string& pointer) const;

  const Json& root_;
  GrammarBuilder& builder_;
  JsonRules json_;
  std::deque<Json> owned_;
  std::unordered_map<const Json*, int> rules_;
  std::vector<Work> waiting_;
};

}  // namespace weir
