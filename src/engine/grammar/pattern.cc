#include "engine/grammar/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace weir {
namespace {

constexpr uint32_t kLast = 0x10FFFF;
constexpr size_t kMaxExpressions = 200'000;
constexpr int kMaxGroups = 64;  // inside each other

const CodePointSet kDigits = {{'0', '9'}};
const CodePointSet kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CodePointSet kSpace = {{'\t', '\r'}, {' ', ' '}};
const CodePointSet kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

CodePointSet Normalized(CodePointSet set) {
  std::sort(set.begin(), set.end());
  CodePointSet out;
  for (const auto& range : set) {
    if (!out.empty() && range.first <= out.back().second + 1) {
      out.back().second = std::max(out.back().second, range.second);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

CodePointSet Complement(const CodePointSet& set, uint32_t last) {
  CodePointSet out;
  uint32_t next = 0;
  for (const auto& [low, high] : set) {
    if (low > next) out.emplace_back(next, std::min(last, low - 1));
    next = high + 1;
    if (next > last) return out;
  }
  out.emplace_back(next, last);
  return out;
}

class Parser {
 public:
  Parser(std::string_view pattern, JsonRules* json, Expressions* expressions)
      : text_(pattern), json_(*json), expressions_(*expressions) {}

  Result<ExpressionId> Parse() {
    std::vector<ExpressionId> choices;
    do {
      WEIR_ASSIGN_OR_RETURN(const ExpressionId choice, Branch(/*outermost=*/true));
      choices.push_back(choice);
    } while (Take('|'));
    if (!AtEnd()) return Error("\")\" without \"(\"");
    if (expressions_.size() > kMaxExpressions) return Error("too many different characters");
    return expressions_.Choice(std::move(choices));
  }

 private:
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  bool Take(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  Status Error(std::string_view what) const {
    return GrammarError(
        fmt::format("the pattern \"{}\" has {} at character {}", QuoteForMessage(text_), what, at_ + 1));
  }

  Result<ExpressionId> Branch(bool outermost) {
    std::vector<ExpressionId> parts;
    const auto anything = [&] { return expressions_.Repeat(json_.Character(), 0, -1); };
    if (outermost && !Take('^')) parts.push_back(anything());
    bool open_end = outermost;
    while (!AtEnd() && Peek() != '|' && Peek() != ')') {
      if (outermost && Peek() == '$' && (at_ + 1 == text_.size() || text_[at_ + 1] == '|')) {
        ++at_;
        open_end = false;
        break;
      }
      WEIR_ASSIGN_OR_RETURN(const ExpressionId atom, Atom());
      WEIR_ASSIGN_OR_RETURN(const ExpressionId repeated, Quantified(atom));
      parts.push_back(repeated);
    }
    if (open_end) parts.push_back(anything());
    return parts.empty() ? expressions_.Empty() : expressions_.Sequence(std::move(parts));
  }

  Result<ExpressionId> Atom() {
    const char c = Peek();
    switch (c) {
      case '(':
        return Group();
      case '[':
        return Class();
      case '.':
        ++at_;
        return json_.CharacterOf(Complement(kLineEnds, kLast));
      case '\\': {
        WEIR_ASSIGN_OR_RETURN(const CodePointSet set, Escape());
        return json_.CharacterOf(set);
      }
      case '*':
      case '+':
      case '?':
      case '{':
        return Error("a repetition of nothing");
      case '^':
      case '$':
        return Error("an anchor that is not at the beginning or end of the pattern");
      case ']':
      case '}':
        return Error("a bracket without its partner");
      default: {
        WEIR_ASSIGN_OR_RETURN(const uint32_t code, Character());
        return json_.CharacterOf({{code, code}});
      }
    }
  }

  Result<ExpressionId> Group() {
    if (++depth_ > kMaxGroups) return Error("groups nested too deeply");
    Take('(');
    if (Take('?') && !Take(':')) {
      return Error("a group of a kind that is not supported; supported are (...) and (?:...)");
    }
    std::vector<ExpressionId> choices;
    do {
      WEIR_ASSIGN_OR_RETURN(const ExpressionId choice, Branch(/*outermost=*/false));
      choices.push_back(choice);
    } while (Take('|'));
    if (!Take(')')) return Error("\"(\" without \")\"");
    --depth_;
    return expressions_.Choice(std::move(choices));
  }

  Result<ExpressionId> Quantified(ExpressionId atom) {
    int least = 1;
    int most = 1;
    if (Take('*')) {
      least = 0;
      most = -1;
    } else if (Take('+')) {
      most = -1;
    } else if (Take('?')) {
      least = 0;
    } else if (Take('{')) {
      WEIR_ASSIGN_OR_RETURN(least, Count());
      most = least;
      if (Take(',')) {
        most = -1;
        if (Peek() != '}') {
          WEIR_ASSIGN_OR_RETURN(most, Count());
        }
      }
      if (!Take('}')) return Error("a repetition without its end");
      if (most >= 0 && most < least) return Error("a repetition whose bounds are in the wrong order");
    } else {
      return atom;
    }
    Take('?');  // as few as possible: which ones a search would find, not which texts match
    if (!AtEnd() && std::string_view("*+?{").find(Peek()) != std::string_view::npos) {
      return Error("a repetition of a repetition");
    }
    return expressions_.Repeat(atom, least, most);
  }

  Result<int> Count() {
    int value = 0;
    bool any = false;
    while (!AtEnd() && Peek() >= '0' && Peek() <= '9') {
      value = 10 * value + (Peek() - '0');
      if (value > WorkBudget::kMaxRepeat) {
        return Error(fmt::format("a repetition of more than {}", WorkBudget::kMaxRepeat));
      }
      ++at_;
      any = true;
    }
    if (!any) return Error("a repetition without a number");
    return value;
  }

  // One character of the pattern itself.
  Result<uint32_t> Character() {
    const auto lead = static_cast<uint8_t>(text_[at_]);
    const size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (at_ + size > text_.size()) return Error("broken UTF-8");
    uint32_t code = size == 1 ? lead : lead & (0xFFu >> (size + 1));
    for (size_t i = 1; i < size; ++i) code = (code << 6) | (static_cast<uint8_t>(text_[at_ + i]) & 0x3F);
    at_ += size;
    return code;
  }

  Result<uint32_t> Hex(int digits) {
    uint32_t code = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = Peek();
      const int value = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (value < 0) return Error("an escape with too few hexadecimal digits");
      code = 16 * code + static_cast<uint32_t>(value);
      ++at_;
    }
    if (code >= 0xD800 && code <= 0xDFFF) return Error("half of a surrogate pair");
    return code;
  }

  Result<CodePointSet> Escape() {
    Take('\\');
    if (AtEnd()) return Error("a backslash at its end");
    const char c = text_[at_++];
    const auto one = [](uint32_t code) { return CodePointSet{{code, code}}; };
    switch (c) {
      case 'd':
        return kDigits;
      case 'w':
        return kWord;
      case 's':
        return kSpace;
      case 'D':
        return Complement(kDigits, 0x7F);
      case 'W':
        return Complement(kWord, 0x7F);
      case 'S':
        return CodePointSet{{0x21, 0x7E}};
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 't':
        return one('\t');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'x':
      case 'u': {
        WEIR_ASSIGN_OR_RETURN(const uint32_t code, Hex(c == 'x' ? 2 : 4));
        return one(code);
      }
      default:
        break;
    }
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (is_letter || static_cast<uint8_t>(c) >= 0x80) {
      --at_;
      return Error("an escape that is not supported");
    }
    return one(static_cast<uint32_t>(c));
  }

  Result<ExpressionId> Class() {
    Take('[');
    const bool negated = Take('^');
    CodePointSet set;
    bool has_named = false;
    while (!AtEnd() && Peek() != ']') {
      const auto item = [&]() -> Result<CodePointSet> {
        if (Peek() == '\\') return Escape();
        WEIR_ASSIGN_OR_RETURN(const uint32_t code, Character());
        return CodePointSet{{code, code}};
      };
      WEIR_ASSIGN_OR_RETURN(const CodePointSet first, item());
      const bool is_one = first.size() == 1 && first[0].first == first[0].second;
      has_named |= !is_one;
      if (Peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        WEIR_ASSIGN_OR_RETURN(const CodePointSet last, item());
        if (!is_one || last.size() != 1 || last[0].first != last[0].second ||
            last[0].first < first[0].first) {
          return Error("a range whose ends are no two characters in order");
        }
        set.emplace_back(first[0].first, last[0].first);
      } else {
        set.insert(set.end(), first.begin(), first.end());
      }
    }
    if (!Take(']')) return Error("\"[\" without \"]\"");
    if (set.empty()) return Error("an empty class");
    set = Normalized(std::move(set));
    // Whether é is in [^\w] depends on the dialect.
    if (negated) set = Complement(set, has_named ? 0x7F : kLast);
    return json_.CharacterOf(set);
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  JsonRules& json_;
  Expressions& expressions_;
};

}  // namespace

Result<ExpressionId> ParsePattern(std::string_view pattern, JsonRules* json, Expressions* expressions) {
  return Parser(pattern, json, expressions).Parse();
}

}  // namespace weir
