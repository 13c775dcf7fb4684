#include "engine/tokenizer/jinja_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_expression_parser.h"
#include "engine/tokenizer/jinja_lexer.h"

namespace weir {
namespace {

using Kind = JinjaStatement::Kind;
using Names = std::initializer_list<std::string_view>;

class Parser {
 public:
  explicit Parser(const std::vector<JinjaToken>& tokens) : in_(tokens) {}

  Result<JinjaBody> Run() {
    JinjaBody body;
    WEIR_RETURN_IF_ERROR(ParseBody({}, &body));
    return body;
  }

 private:
  // Reads statements until a tag that begins with one of `ends`; the tag's name is taken, the rest is the caller's.
  Status ParseBody(Names ends, JinjaBody* body) {
    WEIR_RETURN_IF_ERROR(in_.Enter());
    while (true) {
      switch (in_.Peek().kind) {
        case JinjaToken::Kind::kData: {
          JinjaStatement text;
          text.line = in_.Peek().line;
          text.text = JinjaText(in_.Take().text, true);
          body->push_back(std::move(text));
          break;
        }
        case JinjaToken::Kind::kVariableBegin: {
          JinjaStatement output = Make(Kind::kOutput);
          in_.Take();
          WEIR_ASSIGN_OR_RETURN(output.expression, in_.ParseExpression(true));
          if (in_.Peek().kind != JinjaToken::Kind::kVariableEnd) return in_.Unexpected("\"}}\"");
          in_.Take();
          body->push_back(std::move(output));
          break;
        }
        case JinjaToken::Kind::kBlockBegin: {
          in_.Take();
          const std::string& name = in_.Peek().text;
          if (std::find(ends.begin(), ends.end(), name) != ends.end()) {
            last_end_ = in_.Take().text;
            in_.Leave();
            return OkStatus();
          }
          WEIR_RETURN_IF_ERROR(ParseStatement(body));
          break;
        }
        default: {
          if (in_.Peek().kind != JinjaToken::Kind::kEnd) return in_.Unexpected("a tag");
          if (ends.size() > 0) return in_.Unexpected(fmt::format("{{% {} %}}", *(ends.end() - 1)));
          in_.Leave();
          return OkStatus();
        }
      }
    }
  }

  Status ParseStatement(JinjaBody* body) {
    const JinjaToken at = in_.Peek();
    WEIR_ASSIGN_OR_RETURN(const std::string name, in_.ExpectName());
    if (name == "if") return ParseIf(body);
    if (name == "for") return ParseFor(body);
    if (name == "set") return ParseSet(body);
    if (name == "macro") return ParseMacro(body);
    if (name == "call") return ParseCall(body);
    if (name == "filter") return ParseFilterBlock(body);
    if (name == "with") return ParseWith(body);
    if (name == "break" || name == "continue") {
      if (loop_depth_ == 0) return JinjaSyntaxError(at, fmt::format("\"{}\" outside a loop", name));
      body->push_back(Make(name == "break" ? Kind::kBreak : Kind::kContinue));
      return EndTag();
    }
    if (name == "generation") {
      // Marks what a trainer counts; renders as its content.
      WEIR_RETURN_IF_ERROR(EndTag());
      WEIR_RETURN_IF_ERROR(ParseBody({"endgeneration"}, body));
      return EndTag();
    }
    return JinjaSyntaxError(
        at,
        fmt::format("the statement \"{}\" is unknown; known: if, for, set, macro, call, filter, with, break, "
                    "continue, raw, generation",
                    QuoteForMessage(name)));
  }

  Status ParseIf(JinjaBody* body) {
    JinjaStatement node = Make(Kind::kIf);
    while (true) {
      JinjaExpressionPtr condition;
      if (last_end_ != "else" || node.branches.empty()) {
        WEIR_ASSIGN_OR_RETURN(condition, in_.ParseUnconditional());
      }
      const bool is_else = condition == nullptr;
      WEIR_RETURN_IF_ERROR(EndTag());
      node.branches.emplace_back(std::move(condition), JinjaBody());
      JinjaBody* branch = &node.branches.back().second;
      if (is_else) {
        WEIR_RETURN_IF_ERROR(ParseBody({"endif"}, branch));
      } else {
        WEIR_RETURN_IF_ERROR(ParseBody({"elif", "else", "endif"}, branch));
      }
      if (last_end_ == "endif") break;
    }
    body->push_back(std::move(node));
    return EndTag();
  }

  Status ParseFor(JinjaBody* body) {
    JinjaStatement node = Make(Kind::kFor);
    WEIR_ASSIGN_OR_RETURN(node.target, ParseTargets(false));
    if (!in_.TakeName("in")) return in_.Unexpected("\"in\"");
    WEIR_ASSIGN_OR_RETURN(node.expression, in_.ParseUnconditional());
    if (in_.TakeName("if")) {
      WEIR_ASSIGN_OR_RETURN(node.condition, in_.ParseExpression());
    }
    node.is_recursive = in_.TakeName("recursive");
    WEIR_RETURN_IF_ERROR(EndTag());
    ++loop_depth_;
    WEIR_RETURN_IF_ERROR(ParseBody({"else", "endfor"}, &node.body));
    --loop_depth_;
    if (last_end_ == "else") {
      WEIR_RETURN_IF_ERROR(EndTag());
      WEIR_RETURN_IF_ERROR(ParseBody({"endfor"}, &node.else_body));
    }
    body->push_back(std::move(node));
    return EndTag();
  }

  Status ParseSet(JinjaBody* body) {
    JinjaStatement node = Make(Kind::kSet);
    WEIR_ASSIGN_OR_RETURN(node.target, ParseTargets(true));
    if (in_.TakeOperator("=")) {
      WEIR_ASSIGN_OR_RETURN(node.expression, in_.ParseExpression(true));
    } else {
      if (node.target.name.empty()) return in_.Unexpected("\"=\"");
      node.kind = Kind::kSetBlock;
      if (in_.Peek().IsOperator("|")) {
        WEIR_ASSIGN_OR_RETURN(node.expression, in_.ParseFilterChain(false));
      }
      WEIR_RETURN_IF_ERROR(EndTag());
      WEIR_RETURN_IF_ERROR(ParseBody({"endset"}, &node.body));
    }
    body->push_back(std::move(node));
    return EndTag();
  }

  // "a", "a, b", "(a, b), c", and "a.b", not in parentheses, where `attributes`.
  Result<JinjaTarget> ParseTargets(bool attributes) {
    WEIR_RETURN_IF_ERROR(in_.Enter());
    std::vector<JinjaTarget> parts;
    bool is_tuple = false;
    while (true) {
      if (in_.TakeOperator("(")) {
        WEIR_ASSIGN_OR_RETURN(JinjaTarget inner, ParseTargets(false));
        WEIR_RETURN_IF_ERROR(in_.ExpectOperator(")"));
        parts.push_back(std::move(inner));
      } else {
        JinjaTarget target;
        WEIR_ASSIGN_OR_RETURN(target.name, in_.ExpectName());
        in_.specials().Write(target.name);
        if (attributes && in_.TakeOperator(".")) {
          WEIR_ASSIGN_OR_RETURN(target.attribute, in_.ExpectName());
        }
        parts.push_back(std::move(target));
      }
      if (!in_.TakeOperator(",")) break;
      is_tuple = true;
      if (in_.Peek().IsOperator(")")) break;
    }
    in_.Leave();
    if (!is_tuple) return std::move(parts[0]);
    JinjaTarget several;
    several.parts = std::move(parts);
    return several;
  }

  Status ParseMacro(JinjaBody* body) {
    JinjaStatement node = Make(Kind::kMacro);
    node.macro = std::make_unique<JinjaMacro>();
    WEIR_ASSIGN_OR_RETURN(node.macro->name, in_.ExpectName());
    WEIR_RETURN_IF_ERROR(in_.ExpectOperator("("));
    WEIR_RETURN_IF_ERROR(ParseParameters(node.macro.get()));
    WEIR_RETURN_IF_ERROR(EndTag());
    WEIR_RETURN_IF_ERROR(ParseMacroBody("endmacro", node.macro.get()));
    // {% endmacro name %} may repeat the name.
    in_.TakeName(node.macro->name);
    body->push_back(std::move(node));
    return EndTag();
  }

  // {% call(parameters) macro(arguments) %}
  Status ParseCall(JinjaBody* body) {
    JinjaStatement node = Make(Kind::kCallBlock);
    node.macro = std::make_unique<JinjaMacro>();
    node.macro->name = "caller";
    node.macro->is_caller = true;
    if (in_.TakeOperator("(")) WEIR_RETURN_IF_ERROR(ParseParameters(node.macro.get()));
    const JinjaToken at = in_.Peek();
    WEIR_ASSIGN_OR_RETURN(node.expression, in_.ParseUnconditional());
    if (node.expression->kind != JinjaExpression::Kind::kCall) return in_.Unexpected("a call of a macro");
    for (const auto& [name, value] : node.expression->named) {
      if (name == "caller") return JinjaSyntaxError(at, "\"caller\" is given twice");
    }
    WEIR_RETURN_IF_ERROR(EndTag());
    WEIR_RETURN_IF_ERROR(ParseMacroBody("endcall", node.macro.get()));
    body->push_back(std::move(node));
    return EndTag();
  }

  Status ParseFilterBlock(JinjaBody* body) {
    JinjaStatement node = Make(Kind::kFilterBlock);
    WEIR_ASSIGN_OR_RETURN(node.expression, in_.ParseFilterChain(true));
    WEIR_RETURN_IF_ERROR(EndTag());
    const int outer_loops = std::exchange(loop_depth_, 0);
    WEIR_RETURN_IF_ERROR(ParseBody({"endfilter"}, &node.body));
    loop_depth_ = outer_loops;
    body->push_back(std::move(node));
    return EndTag();
  }

  Status ParseWith(JinjaBody* body) {
    JinjaStatement node = Make(Kind::kWith);
    while (in_.Peek().kind != JinjaToken::Kind::kBlockEnd) {
      JinjaStatement set = Make(Kind::kSet);
      WEIR_ASSIGN_OR_RETURN(set.target, ParseTargets(false));
      WEIR_RETURN_IF_ERROR(in_.ExpectOperator("="));
      WEIR_ASSIGN_OR_RETURN(set.expression, in_.ParseExpression());
      node.sets.push_back(std::move(set));
      if (!in_.TakeOperator(",")) break;
    }
    WEIR_RETURN_IF_ERROR(EndTag());
    WEIR_RETURN_IF_ERROR(ParseBody({"endwith"}, &node.body));
    body->push_back(std::move(node));
    return EndTag();
  }

  // Up to the ")".
  Status ParseParameters(JinjaMacro* macro) {
    while (!in_.TakeOperator(")")) {
      const JinjaToken at = in_.Peek();
      WEIR_ASSIGN_OR_RETURN(std::string name, in_.ExpectName());
      for (const auto& parameter : macro->parameters) {
        if (parameter.first == name) return JinjaSyntaxError(at, fmt::format("two parameters \"{}\"", name));
      }
      in_.specials().Write(name);
      JinjaExpressionPtr fallback;
      if (in_.TakeOperator("=")) {
        WEIR_ASSIGN_OR_RETURN(fallback, in_.ParseExpression());
      } else if (!macro->parameters.empty() && macro->parameters.back().second != nullptr) {
        return JinjaSyntaxError(at, fmt::format("\"{}\" needs a default, as the one before it has", name));
      }
      macro->parameters.emplace_back(std::move(name), std::move(fallback));
      if (!in_.TakeOperator(",") && !in_.Peek().IsOperator(")")) return in_.Unexpected("\",\" or \")\"");
    }
    return OkStatus();
  }

  Status ParseMacroBody(std::string_view end, JinjaMacro* macro) {
    // A macro's body is no part of the loop around its definition.
    const int outer_loops = std::exchange(loop_depth_, 0);
    const JinjaToken at = in_.Peek();
    const JinjaExpressionParser::Specials outer = std::exchange(in_.specials(), {});
    WEIR_RETURN_IF_ERROR(ParseBody({end}, &macro->body));
    loop_depth_ = outer_loops;
    const JinjaExpressionParser::Specials inner = std::exchange(in_.specials(), outer);
    for (size_t i = 0; i < std::size(inner.kNames); ++i) {
      if (inner.read[i]) in_.specials().Read(inner.kNames[i]);
      if (inner.written[i]) in_.specials().Write(inner.kNames[i]);
    }
    macro->uses_caller = inner.read[0];
    macro->uses_kwargs = inner.read[1];
    macro->uses_varargs = inner.read[2];
    for (const auto& [name, fallback] : macro->parameters) {
      if (name == "caller" && macro->uses_caller && fallback == nullptr)
        return JinjaSyntaxError(at, "the parameter \"caller\" needs a default");
      if (name == "kwargs") macro->uses_kwargs = false;
      if (name == "varargs") macro->uses_varargs = false;
    }
    return OkStatus();
  }

  Status EndTag() {
    if (in_.Peek().kind != JinjaToken::Kind::kBlockEnd) return in_.Unexpected("\"%}\"");
    in_.Take();
    return OkStatus();
  }

  JinjaStatement Make(Kind kind) const {
    JinjaStatement node;
    node.kind = kind;
    node.line = in_.Peek().line;
    return node;
  }

  JinjaExpressionParser in_;
  int loop_depth_ = 0;
  std::string last_end_;  // the tag that ended the last body
};

}  // namespace

Result<JinjaBody> ParseJinja(std::string_view source) {
  WEIR_ASSIGN_OR_RETURN(const std::vector<JinjaToken> tokens, LexJinja(source));
  return Parser(tokens).Run();
}

}  // namespace weir
