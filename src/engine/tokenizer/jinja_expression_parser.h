// Reads expressions, loosest operator first: conditional, or, and, not, comparison, + -, ~, * / // %, **, unary, postfix.
//
// Requires  the tokens outlive the parser
// Errors    DATA_LOSS with line and column
// Threads   one thread
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/tokenizer/jinja_ast.h"
#include "engine/tokenizer/jinja_lexer.h"

namespace weir {

class JinjaExpressionParser {
 public:
  explicit JinjaExpressionParser(const std::vector<JinjaToken>& tokens) : tokens_(tokens) {}

  // A whole expression; commas make a list when `tuples`.
  Result<JinjaExpressionPtr> ParseExpression(bool tuples = false);
  // Without "x if y else z", for places where "if" means something else.
  Result<JinjaExpressionPtr> ParseUnconditional();
  // "a | b(c)" over kFilteredName; `bare`: the first filter has no "|" before it.
  Result<JinjaExpressionPtr> ParseFilterChain(bool bare);

  const JinjaToken& Peek(size_t ahead = 0) const;
  const JinjaToken& Take() { return tokens_[position_ + 1 < tokens_.size() ? position_++ : position_]; }
  bool TakeOperator(std::string_view text);
  bool TakeName(std::string_view text);
  Status ExpectOperator(std::string_view text);
  Result<std::string> ExpectName();
  Status Unexpected(std::string_view wanted) const;

  // Which of the names that a macro may read without declaring them were read, before anything was assigned to them.
  struct Specials {
    static constexpr std::string_view kNames[] = {"caller", "kwargs", "varargs"};
    bool read[3] = {false, false, false};
    bool written[3] = {false, false, false};
    void Read(std::string_view name);
    void Write(std::string_view name);
  };
  Specials& specials() { return specials_; }

  // Enters a level; Leave() it again. Fails beyond 128.
  Status Enter();
  void Leave() { --depth_; }

 private:
  using Parse = Result<JinjaExpressionPtr> (JinjaExpressionParser::*)();

  Result<JinjaExpressionPtr> ParseConditional();
  Result<JinjaExpressionPtr> ParseAnd();
  Result<JinjaExpressionPtr> ParseNot();
  Result<JinjaExpressionPtr> ParseComparison();
  Result<JinjaExpressionPtr> ParseSum();
  Result<JinjaExpressionPtr> ParseConcatenation();
  Result<JinjaExpressionPtr> ParseProduct();
  Result<JinjaExpressionPtr> ParsePower();
  Result<JinjaExpressionPtr> ParseUnary();
  Result<JinjaExpressionPtr> ParseSigned(bool with_filters);
  Result<JinjaExpressionPtr> ParsePrimary();
  Result<JinjaExpressionPtr> ParseLiteral();
  Result<JinjaExpressionPtr> ParseSequence(std::string_view close, bool is_group);
  Result<JinjaExpressionPtr> ParseDict();
  Result<JinjaExpressionPtr> ParsePostfix(JinjaExpressionPtr base);
  Result<JinjaExpressionPtr> ParseSubscript(JinjaExpressionPtr base);
  Result<JinjaExpressionPtr> ParseFilters(JinjaExpressionPtr base);
  Result<JinjaExpressionPtr> ParseTest(JinjaExpressionPtr base);
  Result<JinjaExpressionPtr> ParseLeftToRight(Parse operand,
                                              std::initializer_list<std::string_view> operators);
  Status ParseArguments(JinjaExpression* call);
  bool StartsOperand() const;

  JinjaExpressionPtr Make(JinjaExpression::Kind kind, std::string name = "") const;
  // Counts the depth of a finished node.
  Result<JinjaExpressionPtr> Finish(JinjaExpressionPtr node) const;

  const std::vector<JinjaToken>& tokens_;
  size_t position_ = 0;
  int depth_ = 0;
  Specials specials_;
};

}  // namespace weir
