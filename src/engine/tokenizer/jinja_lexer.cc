#include "engine/tokenizer/jinja_lexer.h"

#include <fmt/format.h>

#include <utility>

#include "base/utf8.h"

namespace weir {
namespace {

using Kind = JinjaToken::Kind;

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Line breaks of every kind become "\n"; one at the very end is no part of the template.
std::string NormalizeNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
    } else {
      out.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<JinjaToken>> Run() {
    while (position_ < source_.size()) WEIR_RETURN_IF_ERROR(ReadOutside());
    Put(Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(position_); }

  void Advance(size_t bytes) {
    for (const size_t end = position_ + bytes; position_ < end; ++position_) {
      if (source_[position_] == '\n') {
        ++line_;
        line_begin_ = position_ + 1;
      }
    }
  }

  JinjaToken Here(Kind kind, std::string text) const {
    return {kind, std::move(text), line_, static_cast<int>(position_ - line_begin_) + 1};
  }
  void Put(Kind kind, std::string text) { tokens_.push_back(Here(kind, std::move(text))); }
  Status Error(std::string_view what) const { return JinjaSyntaxError(Here(Kind::kEnd, ""), what); }

  // Where the next "{{", "{%" or "{#" is.
  size_t FindTag() const {
    for (size_t i = position_; i + 1 < source_.size(); ++i) {
      if (source_[i] == '{' && (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#'))
        return i;
    }
    return source_.size();
  }

  // Text up to the next tag, then the tag.
  Status ReadOutside() {
    const size_t tag = FindTag();
    if (tag == source_.size()) {
      EmitData(rest());
      Advance(rest().size());
      return OkStatus();
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    EmitData(TrimBefore(rest().substr(0, tag - position_), sign, kind != '{'));
    Advance(tag - position_);
    if (kind == '#') return ReadComment();
    return ReadTag(kind == '{', sign == '-' || sign == '+' ? 3 : 2);
  }

  // The text before a tag: "{%-" takes all white space before it, "{%" the indentation of a line that it begins.
  std::string_view TrimBefore(std::string_view text, char sign, bool takes_indentation) const {
    if (sign == '-') {
      while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
      return text;
    }
    if (sign == '+' || !takes_indentation) return text;
    const size_t newline = text.rfind('\n');
    const size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
    const bool at_line_start = newline != std::string_view::npos || after_newline_;
    const bool blank = text.find_first_not_of(" \t\v\f", line_start) == std::string_view::npos;
    return at_line_start && blank ? text.substr(0, line_start) : text;
  }

  void EmitData(std::string_view text) {
    if (!text.empty()) Put(Kind::kData, std::string(text));
  }

  // Behind "-%}" all white space goes; behind "%}" one line break, but for variables.
  void EndTag(bool trims_all, bool trims_newline) {
    if (trims_all) {
      while (position_ < source_.size() && IsSpace(source_[position_])) Advance(1);
    } else if (trims_newline && rest().starts_with('\n')) {
      Advance(1);
    }
    after_newline_ = source_[position_ - 1] == '\n';
  }

  Status ReadComment() {
    const size_t end = source_.find("#}", position_ + 2);
    if (end == std::string::npos) return Error("the comment is never closed");
    const char sign = end > position_ + 2 ? source_[end - 1] : '\0';
    Advance(end + 2 - position_);
    EndTag(sign == '-', sign != '+');
    return OkStatus();
  }

  Status ReadTag(bool variable, size_t opening) {
    Put(variable ? Kind::kVariableBegin : Kind::kBlockBegin, "");
    const std::string_view close = variable ? "}}" : "%}";
    Advance(opening);
    int braces = 0;  // a "}}" that closes two dicts is no end
    const size_t first = tokens_.size();
    while (true) {
      while (position_ < source_.size() && IsSpace(source_[position_])) Advance(1);
      if (position_ == source_.size()) return Error("the tag is never closed");
      const char sign = source_[position_];
      const bool signed_close =
          (sign == '-' || (sign == '+' && !variable)) && rest().substr(1).starts_with(close);
      if (braces == 0 && (signed_close || rest().starts_with(close))) {
        const bool raw = !variable && tokens_.size() == first + 1 && tokens_[first].IsName("raw");
        Put(variable ? Kind::kVariableEnd : Kind::kBlockEnd, "");
        Advance(close.size() + (signed_close ? 1 : 0));
        EndTag(signed_close && sign == '-', !variable && !raw && !(signed_close && sign == '+'));
        return raw ? ReadRaw(first - 1) : OkStatus();
      }
      WEIR_RETURN_IF_ERROR(ReadToken(&braces));
    }
  }

  // {% raw %} text {% endraw %}: the tag's tokens give way to the text.
  Status ReadRaw(size_t tag_token) {
    tokens_.resize(tag_token);
    for (size_t tag = source_.find("{%", position_); tag != std::string::npos;
         tag = source_.find("{%", tag + 1)) {
      std::string_view inside = std::string_view(source_).substr(tag + 2);
      const char before = inside.starts_with('-') || inside.starts_with('+') ? inside[0] : '\0';
      if (before != '\0') inside.remove_prefix(1);
      while (!inside.empty() && IsSpace(inside.front())) inside.remove_prefix(1);
      if (!inside.starts_with("endraw")) continue;
      inside.remove_prefix(6);
      while (!inside.empty() && IsSpace(inside.front())) inside.remove_prefix(1);
      const char behind = inside.starts_with('-') || inside.starts_with('+') ? inside[0] : '\0';
      if (behind != '\0') inside.remove_prefix(1);
      if (!inside.starts_with("%}")) continue;
      EmitData(TrimBefore(rest().substr(0, tag - position_), before, true));
      Advance(source_.size() - inside.size() + 2 - position_);
      EndTag(behind == '-', behind != '+');
      return OkStatus();
    }
    return Error("{% raw %} is never closed");
  }

  Status ReadToken(int* braces) {
    const char c = source_[position_];
    if (IsNameStart(c)) {
      size_t bytes = 1;
      while (bytes < rest().size() && (IsNameStart(rest()[bytes]) || IsDigit(rest()[bytes]))) ++bytes;
      Put(Kind::kName, std::string(rest().substr(0, bytes)));
      Advance(bytes);
      return OkStatus();
    }
    if (IsDigit(c)) return ReadNumber();
    if (c == '"' || c == '\'') return ReadString(c);
    for (const std::string_view two : {"**", "//", "==", "!=", "<=", ">="}) {
      if (rest().starts_with(two)) {
        Put(Kind::kOperator, std::string(two));
        Advance(2);
        return OkStatus();
      }
    }
    if (std::string_view("+-*/%~<>=()[]{}.,:|").find(c) == std::string_view::npos) {
      return Error(fmt::format("unexpected character \"{}\"", QuoteForMessage(rest().substr(0, 1))));
    }
    if (c == '{' || c == '(' || c == '[') ++*braces;
    if ((c == '}' || c == ')' || c == ']') && *braces > 0) --*braces;
    Put(Kind::kOperator, std::string(1, c));
    Advance(1);
    return OkStatus();
  }

  Status ReadNumber() {
    size_t bytes = 0;
    std::string digits;
    bool is_float = false;
    const auto take_digits = [&] {
      while (bytes < rest().size() && (IsDigit(rest()[bytes]) || rest()[bytes] == '_')) {
        if (rest()[bytes] != '_') digits.push_back(rest()[bytes]);
        ++bytes;
      }
    };
    take_digits();
    if (bytes + 1 < rest().size() && rest()[bytes] == '.' && IsDigit(rest()[bytes + 1])) {
      is_float = true;
      digits.push_back('.');
      ++bytes;
      take_digits();
    }
    if (bytes < rest().size() && (rest()[bytes] == 'e' || rest()[bytes] == 'E')) {
      size_t sign = bytes + 1;
      if (sign < rest().size() && (rest()[sign] == '+' || rest()[sign] == '-')) ++sign;
      if (sign < rest().size() && IsDigit(rest()[sign])) {
        is_float = true;
        digits += rest().substr(bytes, sign - bytes);
        bytes = sign;
        take_digits();
      }
    }
    Put(is_float ? Kind::kFloat : Kind::kInt, digits);
    Advance(bytes);
    return OkStatus();
  }

  Status ReadString(char quote) {
    JinjaToken token = Here(Kind::kString, "");
    size_t i = position_ + 1;
    for (; i < source_.size() && source_[i] != quote; ++i) {
      if (source_[i] != '\\' || i + 1 == source_.size()) {
        token.text.push_back(source_[i]);
        continue;
      }
      ++i;
      AppendEscape(&i, &token.text);
    }
    if (i >= source_.size()) return Error("the string is never closed");
    tokens_.push_back(std::move(token));
    Advance(i + 1 - position_);
    return OkStatus();
  }

  // source_[*i] is the character behind the backslash; leaves *i on the escape's last one. Unknown escapes stay as written.
  void AppendEscape(size_t* i, std::string* out) {
    constexpr std::string_view kLetters = "nrtabfv\\'\"\n";
    constexpr std::string_view kValues = "\n\r\t\a\b\f\v\\'\"";
    const char c = source_[*i];
    if (const size_t at = kLetters.find(c); at != std::string_view::npos) {
      if (at < kValues.size()) out->push_back(kValues[at]);
      return;
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    int64_t code_point = 0;
    size_t read = 0;
    for (; read < digits && *i + 1 + read < source_.size(); ++read) {
      const char digit = source_[*i + 1 + read];
      const size_t value =
          std::string_view("0123456789abcdef").find(digit >= 'A' && digit <= 'F' ? digit + 32 : digit);
      if (value == std::string_view::npos) break;
      code_point = code_point * 16 + static_cast<int64_t>(value);
    }
    const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
    if (digits > 0 && read == digits && code_point <= 0x10FFFF && !surrogate) {
      AppendUtf8(static_cast<int32_t>(code_point), out);
      *i += digits;
      return;
    }
    out->push_back('\\');
    out->push_back(c);
  }

  std::string source_;
  size_t position_ = 0;
  int line_ = 1;
  size_t line_begin_ = 0;
  bool after_newline_ = true;  // the text that follows begins a line
  std::vector<JinjaToken> tokens_;
};

}  // namespace

Status JinjaSyntaxError(const JinjaToken& at, std::string_view what) {
  return DataLoss(fmt::format("chat template, line {}, column {}: {}", at.line, at.column, what));
}

Result<std::vector<JinjaToken>> LexJinja(std::string_view source) {
  if (!IsValidUtf8(source)) return DataLoss("chat template: the text is not valid UTF-8");
  return Lexer(NormalizeNewlines(source)).Run();
}

}  // namespace weir
