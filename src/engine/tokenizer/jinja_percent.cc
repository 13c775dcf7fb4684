#include "engine/tokenizer/jinja_percent.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_format.h"
#include "engine/tokenizer/jinja_strings.h"

namespace weir {
namespace {

constexpr int64_t kMaxPrecision = 300;
constexpr int64_t kMaxWidth = int64_t{1} << 20;

// One conversion: %(name)-+ 0width.precisionC
struct Conversion {
  std::string_view name;
  bool has_name = false;
  bool left = false;
  bool plus = false;
  bool space = false;
  bool zero = false;
  int64_t width = 0;
  int64_t precision = -1;
  char letter = 0;
};

Status TooFew() { return JinjaError("not enough arguments for the format"); }

class Formatter {
 public:
  Formatter(const JinjaText& format, const JinjaValue& arguments, JinjaHeap* heap)
      : text_(format), all_(format.str()), arguments_(arguments), heap_(*heap) {}

  Result<JinjaValue> Run() {
    const bool is_tuple = arguments_.is_tuple();
    while (true) {
      const size_t percent = std::min(all_.find('%', at_), all_.size());
      WEIR_RETURN_IF_ERROR(Add(text_.Substr(at_, percent - at_)));
      at_ = percent;
      if (at_ == all_.size()) break;
      WEIR_ASSIGN_OR_RETURN(const Conversion one, Parse());
      if (one.letter == '%') {
        WEIR_RETURN_IF_ERROR(Add(text_.Substr(at_ - 1, 1)));
        continue;
      }
      WEIR_ASSIGN_OR_RETURN(const JinjaValue value, Next(one));
      WEIR_RETURN_IF_ERROR(Convert(one, value));
    }
    // What has items by key may be left over, as in Python.
    const bool has_keys = arguments_.dict() != nullptr || (arguments_.list() != nullptr && !is_tuple) ||
                          arguments_.is_undefined();
    if (!has_keys && next_ < (is_tuple ? arguments_.list()->size() : 1))
      return JinjaError("too many arguments for the format");
    return heap_.NewString(std::move(out_));
  }

 private:
  Result<Conversion> Parse() {
    Conversion one;
    ++at_;
    if (Peek() == '(') {
      const size_t end = all_.find(')', at_);
      if (end == std::string_view::npos) return JinjaError("a \"%(\" in the format has no \")\"");
      one.name = all_.substr(at_ + 1, end - at_ - 1);
      one.has_name = true;
      at_ = end + 1;
    }
    for (bool more = true; more;) {
      const char flag = Peek();
      one.left = one.left || flag == '-';
      one.plus = one.plus || flag == '+';
      one.space = one.space || flag == ' ';
      one.zero = one.zero || flag == '0';
      more = flag != '\0' && std::string_view("-+ 0").find(flag) != std::string_view::npos;
      if (more) ++at_;
    }
    WEIR_ASSIGN_OR_RETURN(one.width, Number(kMaxWidth));
    if (Peek() == '.') {
      ++at_;
      WEIR_ASSIGN_OR_RETURN(one.precision, Number(kMaxPrecision));
    }
    if (Peek() == 'l' || Peek() == 'h' || Peek() == 'L') ++at_;
    one.letter = Peek();
    if (one.letter == '\0') return JinjaError("the format ends inside a conversion");
    if (std::string_view("srdiufFeEgGxXo%").find(one.letter) == std::string_view::npos)
      return JinjaError(fmt::format("the conversion \"%{}\" of a format is not supported",
                                    QuoteForMessage(all_.substr(at_, 1))));
    ++at_;
    return one;
  }

  char Peek() const { return at_ < all_.size() ? all_[at_] : '\0'; }

  Result<int64_t> Number(int64_t max) {
    int64_t number = 0;
    for (; Peek() >= '0' && Peek() <= '9'; ++at_) {
      number = number * 10 + (Peek() - '0');
      if (number > max) return JinjaError(fmt::format("a number above {} in a format", max));
    }
    return number;
  }

  Result<JinjaValue> Next(const Conversion& one) {
    if (one.has_name) {
      if (arguments_.dict() == nullptr) return JinjaError("a format with names needs a dict");
      next_ = 1;  // names first and places after them do not go together
      const JinjaValue* found = FindEntry(arguments_.dict()->entries, one.name);
      if (found == nullptr)
        return JinjaError(fmt::format("the format's \"{}\" is not given", QuoteForMessage(one.name)));
      return *found;
    }
    const size_t index = next_++;
    if (arguments_.is_tuple()) {
      if (index >= arguments_.list()->size()) return TooFew();
      return (*arguments_.list())[index];
    }
    if (index > 0) return TooFew();
    return arguments_;
  }

  Status Convert(const Conversion& one, const JinjaValue& value) {
    if (one.letter == 's' || one.letter == 'r') {
      WEIR_ASSIGN_OR_RETURN(JinjaText text,
                            one.letter == 's' ? JinjaToText(value, &heap_) : JinjaRepr(value, &heap_));
      if (one.precision >= 0) {
        WEIR_RETURN_IF_ERROR(heap_.SpendOnCharacters(text.size()));
        WEIR_RETURN_IF_ERROR(heap_.Room(text.size() * sizeof(size_t)));
        const std::vector<size_t> offsets = CharacterOffsets(text.str());
        text = text.Substr(0, offsets[std::min(offsets.size() - 1, static_cast<size_t>(one.precision))]);
      }
      return Pad(one, "", text);
    }
    std::string digits;
    bool negative = false;
    if (std::string_view("fFeEgG").find(one.letter) != std::string_view::npos) {
      double number = 0;
      if (!value.AsDouble(&number)) return WrongKind(one, value);
      negative = std::signbit(number) && !std::isnan(number);
      digits = FloatDigits(std::fabs(number), one);
    } else {
      int64_t number = 0;
      const double* real = value.Get<double>();
      const bool decimal = one.letter == 'd' || one.letter == 'i' || one.letter == 'u';
      if (real != nullptr && decimal) {
        if (!(std::fabs(*real) < 9.2e18)) return JinjaError("\"%d\" of a number above 64 bits");
        number = static_cast<int64_t>(*real);
      } else if (!value.AsInt(&number)) {
        return WrongKind(one, value);
      }
      negative = number < 0;
      const uint64_t size = negative ? ~static_cast<uint64_t>(number) + 1 : static_cast<uint64_t>(number);
      digits = one.letter == 'x'   ? fmt::format("{:x}", size)
               : one.letter == 'X' ? fmt::format("{:X}", size)
               : one.letter == 'o' ? fmt::format("{:o}", size)
                                   : fmt::format("{}", size);
      const size_t least = one.precision > 0 ? static_cast<size_t>(one.precision) : 0;
      if (digits.size() < least) digits.insert(0, least - digits.size(), '0');
    }
    return Pad(one,
               negative    ? "-"
               : one.plus  ? "+"
               : one.space ? " "
                           : "",
               JinjaText(std::move(digits), false));
  }

  static std::string FloatDigits(double number, const Conversion& one) {
    const bool capitals = one.letter >= 'A' && one.letter <= 'Z';
    if (!std::isfinite(number)) {
      const std::string_view word = std::isnan(number) ? "nanNAN" : "infINF";
      return std::string(word.substr(capitals ? 3 : 0, 3));
    }
    const int precision = one.precision < 0 ? 6 : static_cast<int>(one.precision);
    switch (one.letter) {
      case 'e':
        return fmt::format("{:.{}e}", number, precision);
      case 'E':
        return fmt::format("{:.{}E}", number, precision);
      case 'g':
        return fmt::format("{:.{}g}", number, precision);
      case 'G':
        return fmt::format("{:.{}G}", number, precision);
      default:
        return fmt::format("{:.{}f}", number, precision);
    }
  }

  Status WrongKind(const Conversion& one, const JinjaValue& value) const {
    return JinjaError(fmt::format("\"%{}\" does not work on {}", one.letter, value.kind_name()));
  }

  Status Pad(const Conversion& one, std::string_view sign, const JinjaText& body) {
    WEIR_RETURN_IF_ERROR(heap_.SpendOnBytes(body.size()));
    const int64_t have = CountCharacters(body.str()) + static_cast<int64_t>(sign.size());
    const auto missing = static_cast<size_t>(std::max<int64_t>(one.width - have, 0));
    WEIR_RETURN_IF_ERROR(heap_.Room(out_.footprint() + body.footprint() + missing));
    WEIR_RETURN_IF_ERROR(heap_.SpendOnBytes(missing));
    const bool zeros = one.zero && !one.left && one.letter != 's' && one.letter != 'r';
    if (!one.left && !zeros) out_.Append(std::string(missing, ' '), false);
    out_.Append(sign, false);
    if (zeros) out_.Append(std::string(missing, '0'), false);
    out_.Append(body);
    if (one.left) out_.Append(std::string(missing, ' '), false);
    return OkStatus();
  }

  Status Add(const JinjaText& text) {
    WEIR_RETURN_IF_ERROR(heap_.Spend(1 + text_.runs().size() / 16));
    WEIR_RETURN_IF_ERROR(heap_.Room(out_.footprint() + text.footprint()));
    out_.Append(text);
    return OkStatus();
  }

  const JinjaText& text_;
  const std::string_view all_;
  const JinjaValue& arguments_;
  JinjaHeap& heap_;
  JinjaText out_;
  size_t at_ = 0;
  size_t next_ = 0;
};

}  // namespace

Result<JinjaValue> JinjaPercent(const JinjaText& format, const JinjaValue& arguments, JinjaHeap* heap) {
  return Formatter(format, arguments, heap).Run();
}

}  // namespace weir
