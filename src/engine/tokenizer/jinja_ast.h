// A parsed template. Depth of every expression and nesting of every block are bounded when they are made, so walking and
// destroying them is bounded too.
//
// Threads   immutable after parsing
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/tokenizer/jinja_value.h"

namespace weir {

struct JinjaExpression {
  enum class Kind {
    kLiteral,      // literal
    kName,         // name
    kList,         // children; a tuple when named "tuple"
    kDict,         // children: key, value, key, value ...
    kAttribute,    // children[0] . name
    kSubscript,    // children[0] [ children[1] ]
    kSlice,        // children[0] [ children[1] : children[2] : children[3] ], missing ones null
    kCall,         // children[0] ( the others, named )
    kFilter,       // children[0] | name ( the others, named )
    kTest,         // children[0] is name ( the others )
    kNot,          // children[0]
    kNegate,       // children[0]
    kPlus,         // children[0]
    kBinary,       // children[0] name children[1]
    kAnd,          // children[0], children[1]
    kOr,           // children[0], children[1]
    kCompare,      // children[0] operators[0] children[1] operators[1] children[2] ...
    kConditional,  // children[0] if children[1] else children[2], the last may be null
  };

  Kind kind = Kind::kLiteral;
  int line = 1;
  int depth = 1;
  std::string name;
  JinjaValue literal;
  std::vector<std::unique_ptr<JinjaExpression>> children;
  std::vector<std::pair<std::string, std::unique_ptr<JinjaExpression>>> named;
  std::vector<std::string> operators;
};

using JinjaExpressionPtr = std::unique_ptr<JinjaExpression>;

struct JinjaStatement;
using JinjaBody = std::vector<JinjaStatement>;

// What for, set and with assign to: a name, an attribute of a namespace, or several targets that share the items of one value.
struct JinjaTarget {
  std::string name;       // empty for several
  std::string attribute;  // of the namespace `name`
  std::vector<JinjaTarget> parts;
};

struct JinjaMacro {
  std::string name;
  std::vector<std::pair<std::string, JinjaExpressionPtr>> parameters;  // default may be null
  JinjaBody body;
  bool is_caller = false;  // the body of a call block
  // Whether the body reads these names, which are then parameters that no call names.
  bool uses_caller = false;
  bool uses_kwargs = false;
  bool uses_varargs = false;
};

// What the filters of a block apply to; no template can spell it.
inline constexpr const char* kFilteredName = "{body}";

struct JinjaStatement {
  enum class Kind {
    kText,
    kOutput,
    kIf,
    kFor,
    kSet,
    kSetBlock,
    kFilterBlock,  // the body's text through the filters of `expression`
    kWith,         // sets inside a scope, then the body
    kMacro,
    kCallBlock,  // `expression` calls a macro, which finds `macro` as caller
    kBreak,
    kContinue
  };

  Kind kind = Kind::kText;
  int line = 1;
  JinjaText text;
  JinjaExpressionPtr expression;  // output, iterated value, value of a set
  // if: one condition per branch, null for else.
  std::vector<std::pair<JinjaExpressionPtr, JinjaBody>> branches;
  JinjaTarget target;            // for, set and with
  bool is_recursive = false;     // for
  JinjaExpressionPtr condition;  // for ... if
  JinjaBody body;
  JinjaBody else_body;
  JinjaBody sets;  // with
  std::unique_ptr<JinjaMacro> macro;
};

}  // namespace weir
