#include "server/schema_grammar.h"

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "server/schema_compiler.h"

namespace weir {

Result<std::shared_ptr<Grammar>> CompileSchema(const Json& schema,
                                               std::shared_ptr<const GrammarVocabulary> vocabulary) {
  GrammarBuilder builder;
  WEIR_ASSIGN_OR_RETURN(const int root, builder.Declare("the schema"));
  SchemaCompiler compiler(schema, &builder);
  WEIR_ASSIGN_OR_RETURN(const ExpressionId value, compiler.Call(schema, ""));
  builder.Define(root, value);
  WEIR_RETURN_IF_ERROR(compiler.Finish());
  return builder.Build(root, std::move(vocabulary));
}

Result<std::shared_ptr<Grammar>> CompileToolCalls(const Json& tools, int max_calls,
                                                  std::shared_ptr<const GrammarVocabulary> vocabulary) {
  GrammarBuilder builder;
  Expressions& e = builder.expressions();
  WEIR_ASSIGN_OR_RETURN(const int root, builder.Declare("the calls"));
  // Each tool's schema is a document of its own: references do not leave it.
  std::deque<SchemaCompiler> compilers;
  std::vector<ExpressionId> calls;
  for (const Json& tool : tools) {
    SchemaCompiler& compiler = compilers.emplace_back(tool["parameters"], &builder);
    WEIR_ASSIGN_OR_RETURN(const ExpressionId arguments, compiler.Call(tool["parameters"], ""));
    WEIR_RETURN_IF_ERROR(compiler.Finish());
    const std::string before = "{\"name\": " + DumpJson(tool["name"]) + ", \"arguments\": ";
    calls.push_back(e.Sequence({e.Bytes(before), arguments, e.Bytes("}")}));
  }
  const ExpressionId call =
      e.Sequence({e.Bytes("<tool_call>\n"), e.Choice(std::move(calls)), e.Bytes("\n</tool_call>")});
  const ExpressionId more = e.Repeat(e.Sequence({e.Bytes("\n"), call}), 0, max_calls - 1);
  builder.Define(root, e.Sequence({call, more}));
  return builder.Build(root, std::move(vocabulary));
}

Result<std::shared_ptr<Grammar>> CompileAnyObject(std::shared_ptr<const GrammarVocabulary> vocabulary) {
  GrammarBuilder builder;
  JsonRules json(&builder);
  WEIR_ASSIGN_OR_RETURN(const int root, builder.Declare("the object"));
  WEIR_ASSIGN_OR_RETURN(const ExpressionId object, json.AnyObject());
  builder.Define(root, object);
  return builder.Build(root, std::move(vocabulary));
}

}  // namespace weir
