#include "engine/tokenizer/jinja_expression_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/utf8.h"

namespace weir {
namespace {

using Kind = JinjaExpression::Kind;

// Long chains like a ~ b ~ c grow the tree without nesting anything.
constexpr int kMaxTreeDepth = 256;

std::string Describe(const JinjaToken& token) {
  switch (token.kind) {
    case JinjaToken::Kind::kVariableEnd:
      return "\"}}\"";
    case JinjaToken::Kind::kBlockEnd:
      return "\"%}\"";
    case JinjaToken::Kind::kEnd:
      return "the end of the template";
    default:
      return fmt::format("\"{}\"", QuoteForMessage(token.text));
  }
}

}  // namespace

void JinjaExpressionParser::Specials::Read(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) read[i] = read[i] || (kNames[i] == name && !written[i]);
}

void JinjaExpressionParser::Specials::Write(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) written[i] = written[i] || kNames[i] == name;
}

const JinjaToken& JinjaExpressionParser::Peek(size_t ahead) const {
  return tokens_[std::min(position_ + ahead, tokens_.size() - 1)];
}

bool JinjaExpressionParser::TakeOperator(std::string_view text) {
  if (!Peek().IsOperator(text)) return false;
  Take();
  return true;
}

bool JinjaExpressionParser::TakeName(std::string_view text) {
  if (!Peek().IsName(text)) return false;
  Take();
  return true;
}

Status JinjaExpressionParser::Unexpected(std::string_view wanted) const {
  return JinjaSyntaxError(Peek(), fmt::format("found {}, expected {}", Describe(Peek()), wanted));
}

Status JinjaExpressionParser::ExpectOperator(std::string_view text) {
  return TakeOperator(text) ? OkStatus() : Unexpected(fmt::format("\"{}\"", text));
}

Result<std::string> JinjaExpressionParser::ExpectName() {
  if (Peek().kind != JinjaToken::Kind::kName) return Unexpected("a name");
  return Take().text;
}

Status JinjaExpressionParser::Enter() {
  if (++depth_ <= JinjaBudget::kMaxDepth) return OkStatus();
  return JinjaSyntaxError(Peek(), fmt::format("nested deeper than {} levels", JinjaBudget::kMaxDepth));
}

JinjaExpressionPtr JinjaExpressionParser::Make(Kind kind, std::string name) const {
  auto node = std::make_unique<JinjaExpression>();
  node->kind = kind;
  node->line = Peek().line;
  node->name = std::move(name);
  return node;
}

Result<JinjaExpressionPtr> JinjaExpressionParser::Finish(JinjaExpressionPtr node) const {
  for (const JinjaExpressionPtr& child : node->children) {
    if (child != nullptr) node->depth = std::max(node->depth, 1 + child->depth);
  }
  for (const auto& [name, child] : node->named) node->depth = std::max(node->depth, 1 + child->depth);
  if (node->depth > kMaxTreeDepth) {
    return JinjaSyntaxError(Peek(), fmt::format("an expression of more than {} levels", kMaxTreeDepth));
  }
  return node;
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseExpression(bool tuples) {
  WEIR_RETURN_IF_ERROR(Enter());
  WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr first, ParseConditional());
  if (tuples && Peek().IsOperator(",")) {
    JinjaExpressionPtr list = Make(Kind::kList, "tuple");
    list->children.push_back(std::move(first));
    while (TakeOperator(",") && StartsOperand()) {
      WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr next, ParseConditional());
      list->children.push_back(std::move(next));
    }
    WEIR_ASSIGN_OR_RETURN(first, Finish(std::move(list)));
  }
  Leave();
  return first;
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseConditional() {
  WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr value, ParseUnconditional());
  while (TakeName("if")) {
    JinjaExpressionPtr node = Make(Kind::kConditional);
    node->children.push_back(std::move(value));
    WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr condition, ParseUnconditional());
    node->children.push_back(std::move(condition));
    node->children.push_back(nullptr);
    if (TakeName("else")) {
      WEIR_RETURN_IF_ERROR(Enter());
      WEIR_ASSIGN_OR_RETURN(node->children.back(), ParseConditional());
      Leave();
    }
    WEIR_ASSIGN_OR_RETURN(value, Finish(std::move(node)));
  }
  return value;
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseUnconditional() {
  WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr left, ParseAnd());
  while (TakeName("or")) {
    JinjaExpressionPtr node = Make(Kind::kOr);
    node->children.push_back(std::move(left));
    WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr right, ParseAnd());
    node->children.push_back(std::move(right));
    WEIR_ASSIGN_OR_RETURN(left, Finish(std::move(node)));
  }
  return left;
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseAnd() {
  WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr left, ParseNot());
  while (TakeName("and")) {
    JinjaExpressionPtr node = Make(Kind::kAnd);
    node->children.push_back(std::move(left));
    WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr right, ParseNot());
    node->children.push_back(std::move(right));
    WEIR_ASSIGN_OR_RETURN(left, Finish(std::move(node)));
  }
  return left;
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseNot() {
  if (!TakeName("not")) return ParseComparison();
  WEIR_RETURN_IF_ERROR(Enter());
  JinjaExpressionPtr node = Make(Kind::kNot);
  WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr operand, ParseNot());
  Leave();
  node->children.push_back(std::move(operand));
  return Finish(std::move(node));
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseComparison() {
  WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr first, ParseSum());
  JinjaExpressionPtr node = Make(Kind::kCompare);
  node->children.push_back(std::move(first));
  while (true) {
    std::string found;
    for (const std::string_view text : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (found.empty() && TakeOperator(text)) found = text;
    }
    if (found.empty() && TakeName("in")) found = "in";
    if (found.empty() && Peek().IsName("not") && Peek(1).IsName("in")) {
      Take();
      Take();
      found = "not in";
    }
    if (found.empty()) break;
    node->operators.push_back(std::move(found));
    WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr next, ParseSum());
    node->children.push_back(std::move(next));
  }
  if (node->operators.empty()) return std::move(node->children[0]);
  return Finish(std::move(node));
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseLeftToRight(
    Parse operand, std::initializer_list<std::string_view> operators) {
  WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr left, (this->*operand)());
  while (true) {
    std::string_view found;
    for (const std::string_view text : operators) {
      if (found.empty() && TakeOperator(text)) found = text;
    }
    if (found.empty()) return left;
    JinjaExpressionPtr node = Make(Kind::kBinary, std::string(found));
    node->children.push_back(std::move(left));
    WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr right, (this->*operand)());
    node->children.push_back(std::move(right));
    WEIR_ASSIGN_OR_RETURN(left, Finish(std::move(node)));
  }
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseSum() {
  return ParseLeftToRight(&JinjaExpressionParser::ParseConcatenation, {"+", "-"});
}
Result<JinjaExpressionPtr> JinjaExpressionParser::ParseConcatenation() {
  return ParseLeftToRight(&JinjaExpressionParser::ParseProduct, {"~"});
}
Result<JinjaExpressionPtr> JinjaExpressionParser::ParseProduct() {
  return ParseLeftToRight(&JinjaExpressionParser::ParsePower, {"*", "//", "/", "%"});
}
Result<JinjaExpressionPtr> JinjaExpressionParser::ParsePower() {
  return ParseLeftToRight(&JinjaExpressionParser::ParseUnary, {"**"});
}
Result<JinjaExpressionPtr> JinjaExpressionParser::ParseUnary() { return ParseSigned(true); }

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseSigned(bool with_filters) {
  JinjaExpressionPtr node;
  if (Peek().IsOperator("-") || Peek().IsOperator("+")) {
    WEIR_RETURN_IF_ERROR(Enter());
    node = Make(Take().text == "-" ? Kind::kNegate : Kind::kPlus);
    WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr operand, ParseSigned(false));
    Leave();
    node->children.push_back(std::move(operand));
    WEIR_ASSIGN_OR_RETURN(node, Finish(std::move(node)));
  } else {
    WEIR_ASSIGN_OR_RETURN(node, ParsePrimary());
  }
  WEIR_ASSIGN_OR_RETURN(node, ParsePostfix(std::move(node)));
  if (!with_filters) return node;
  return ParseFilters(std::move(node));
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParsePrimary() {
  if (Peek().kind == JinjaToken::Kind::kName) {
    for (const std::string_view keyword : {"if", "else", "elif", "in", "is", "and", "or", "not"}) {
      if (Peek().text == keyword) return Unexpected("a value");
    }
  }
  if (TakeOperator("(")) return ParseSequence(")", true);
  if (TakeOperator("[")) return ParseSequence("]", false);
  if (TakeOperator("{")) return ParseDict();
  return ParseLiteral();
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseLiteral() {
  JinjaExpressionPtr node = Make(Kind::kLiteral);
  const JinjaToken& token = Peek();
  if (token.kind == JinjaToken::Kind::kName) {
    const std::string& name = token.text;
    if (name == "true" || name == "True" || name == "false" || name == "False") {
      node->literal = JinjaValue::Of(name == "true" || name == "True");
    } else if (name == "none" || name == "None") {
      node->literal = JinjaValue::MakeNone();
    } else {
      node->kind = Kind::kName;
      node->name = name;
      specials_.Read(name);
    }
    Take();
    return node;
  }
  if (token.kind == JinjaToken::Kind::kString) {
    std::string text;
    while (Peek().kind == JinjaToken::Kind::kString) text += Take().text;
    auto string = std::make_shared<const JinjaString>(JinjaText(std::move(text), true));
    node->literal = JinjaValue::Of(std::move(string));
    return node;
  }
  const char* const begin = token.text.data();
  const char* const end = begin + token.text.size();
  if (token.kind == JinjaToken::Kind::kInt) {
    int64_t value = 0;
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (error != std::errc() || stop != end) return JinjaSyntaxError(token, "an integer above 2^63 - 1");
    node->literal = JinjaValue::Of(value);
    Take();
    return node;
  }
  if (token.kind == JinjaToken::Kind::kFloat) {
    double value = 0;
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (error != std::errc() || stop != end) return JinjaSyntaxError(token, "a number out of range");
    node->literal = JinjaValue::Of(value);
    Take();
    return node;
  }
  return Unexpected("a value");
}

// Behind "(" or "[": a list, or one value in parentheses.
Result<JinjaExpressionPtr> JinjaExpressionParser::ParseSequence(std::string_view close, bool is_group) {
  JinjaExpressionPtr list = Make(Kind::kList, is_group ? "tuple" : "");
  bool has_comma = false;
  while (!TakeOperator(close)) {
    WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr item, ParseExpression());
    list->children.push_back(std::move(item));
    if (TakeOperator(",")) {
      has_comma = true;
    } else if (!Peek().IsOperator(close)) {
      return Unexpected(fmt::format("\",\" or \"{}\"", close));
    }
  }
  if (is_group && !has_comma && list->children.size() == 1) return std::move(list->children[0]);
  return Finish(std::move(list));
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseDict() {
  JinjaExpressionPtr dict = Make(Kind::kDict);
  while (!TakeOperator("}")) {
    WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr key, ParseExpression());
    WEIR_RETURN_IF_ERROR(ExpectOperator(":"));
    WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr value, ParseExpression());
    dict->children.push_back(std::move(key));
    dict->children.push_back(std::move(value));
    if (!TakeOperator(",") && !Peek().IsOperator("}")) return Unexpected("\",\" or \"}\"");
  }
  return Finish(std::move(dict));
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParsePostfix(JinjaExpressionPtr base) {
  while (true) {
    if (TakeOperator(".")) {
      JinjaExpressionPtr node = Make(Kind::kAttribute);
      if (Peek().kind == JinjaToken::Kind::kInt) {
        node->kind = Kind::kSubscript;
        node->children.push_back(std::move(base));
        WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr index, ParseLiteral());
        node->children.push_back(std::move(index));
      } else {
        WEIR_ASSIGN_OR_RETURN(node->name, ExpectName());
        node->children.push_back(std::move(base));
      }
      WEIR_ASSIGN_OR_RETURN(base, Finish(std::move(node)));
    } else if (TakeOperator("[")) {
      WEIR_ASSIGN_OR_RETURN(base, ParseSubscript(std::move(base)));
    } else if (Peek().IsOperator("(")) {
      JinjaExpressionPtr node = Make(Kind::kCall);
      node->children.push_back(std::move(base));
      WEIR_RETURN_IF_ERROR(ParseArguments(node.get()));
      WEIR_ASSIGN_OR_RETURN(base, Finish(std::move(node)));
    } else {
      return base;
    }
  }
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseSubscript(JinjaExpressionPtr base) {
  JinjaExpressionPtr node = Make(Kind::kSubscript);
  node->children.push_back(std::move(base));
  bool is_slice = false;
  JinjaExpressionPtr part;
  if (Peek().IsOperator("]")) return Unexpected("an index");
  while (!TakeOperator("]")) {
    if (TakeOperator(":")) {
      is_slice = true;
      node->children.push_back(std::move(part));
      part = nullptr;
      if (node->children.size() > 3) return Unexpected("\"]\"");
      continue;
    }
    if (part != nullptr) return Unexpected("\":\" or \"]\"");
    WEIR_ASSIGN_OR_RETURN(part, ParseExpression());
  }
  node->children.push_back(std::move(part));
  if (is_slice) {
    node->kind = Kind::kSlice;
    node->children.resize(4);
  }
  return Finish(std::move(node));
}

Status JinjaExpressionParser::ParseArguments(JinjaExpression* call) {
  WEIR_RETURN_IF_ERROR(ExpectOperator("("));
  while (!TakeOperator(")")) {
    if (Peek().IsOperator("*") || Peek().IsOperator("**")) {
      return JinjaSyntaxError(Peek(), fmt::format("\"{}\" in a call is not supported", Peek().text));
    }
    if (Peek().kind == JinjaToken::Kind::kName && Peek(1).IsOperator("=")) {
      std::string name = Peek().text;
      for (const auto& [other, value] : call->named) {
        if (other == name) return JinjaSyntaxError(Peek(), fmt::format("\"{}\" is given twice", name));
      }
      Take();
      Take();
      WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr value, ParseExpression());
      call->named.emplace_back(std::move(name), std::move(value));
    } else {
      if (!call->named.empty()) return Unexpected("a named argument");
      WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr value, ParseExpression());
      call->children.push_back(std::move(value));
    }
    if (!TakeOperator(",") && !Peek().IsOperator(")")) return Unexpected("\",\" or \")\"");
  }
  return OkStatus();
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseFilterChain(bool bare) {
  JinjaExpressionPtr base = Make(Kind::kName);
  base->name = kFilteredName;
  while (bare || TakeOperator("|")) {
    bare = false;
    JinjaExpressionPtr node = Make(Kind::kFilter);
    WEIR_ASSIGN_OR_RETURN(node->name, ExpectName());
    node->children.push_back(std::move(base));
    if (Peek().IsOperator("(")) WEIR_RETURN_IF_ERROR(ParseArguments(node.get()));
    WEIR_ASSIGN_OR_RETURN(base, Finish(std::move(node)));
  }
  return base;
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseFilters(JinjaExpressionPtr base) {
  while (true) {
    if (TakeOperator("|")) {
      JinjaExpressionPtr node = Make(Kind::kFilter);
      WEIR_ASSIGN_OR_RETURN(node->name, ExpectName());
      node->children.push_back(std::move(base));
      if (Peek().IsOperator("(")) WEIR_RETURN_IF_ERROR(ParseArguments(node.get()));
      WEIR_ASSIGN_OR_RETURN(base, Finish(std::move(node)));
    } else if (TakeName("is")) {
      WEIR_ASSIGN_OR_RETURN(base, ParseTest(std::move(base)));
    } else if (Peek().IsOperator("(") || Peek().IsOperator("[") || Peek().IsOperator(".")) {
      WEIR_ASSIGN_OR_RETURN(base, ParsePostfix(std::move(base)));
    } else {
      return base;
    }
  }
}

Result<JinjaExpressionPtr> JinjaExpressionParser::ParseTest(JinjaExpressionPtr base) {
  const bool negated = TakeName("not");
  JinjaExpressionPtr node = Make(Kind::kTest);
  node->children.push_back(std::move(base));
  WEIR_ASSIGN_OR_RETURN(node->name, ExpectName());
  if (Peek().IsOperator("(")) {
    WEIR_RETURN_IF_ERROR(ParseArguments(node.get()));
  } else if (StartsOperand() && !Peek().IsOperator("-") && !Peek().IsOperator("+")) {
    WEIR_RETURN_IF_ERROR(Enter());
    WEIR_ASSIGN_OR_RETURN(JinjaExpressionPtr argument, ParsePrimary());
    WEIR_ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    Leave();
    node->children.push_back(std::move(argument));
  }
  WEIR_ASSIGN_OR_RETURN(node, Finish(std::move(node)));
  if (!negated) return node;
  JinjaExpressionPtr inverse = Make(Kind::kNot);
  inverse->children.push_back(std::move(node));
  return Finish(std::move(inverse));
}

bool JinjaExpressionParser::StartsOperand() const {
  const JinjaToken& token = Peek();
  switch (token.kind) {
    case JinjaToken::Kind::kString:
    case JinjaToken::Kind::kInt:
    case JinjaToken::Kind::kFloat:
      return true;
    case JinjaToken::Kind::kName:
      return token.text != "if" && token.text != "else" && token.text != "and" && token.text != "or" &&
             token.text != "is" && token.text != "in" && token.text != "not" && token.text != "recursive";
    default:
      return token.IsOperator("(") || token.IsOperator("[") || token.IsOperator("{") ||
             token.IsOperator("-") || token.IsOperator("+");
  }
}

}  // namespace weir
