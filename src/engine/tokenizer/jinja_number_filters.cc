#include "engine/tokenizer/jinja_number_filters.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_operators.h"
#include "engine/tokenizer/jinja_strings.h"

namespace weir {
namespace {

constexpr double kMaxInt = 9.2e18;

// The text of a number as from_chars reads it: no space around, no plus, no single underscores between digits. Empty when it is no
// number in any way.
Result<std::string> PlainNumber(const JinjaText& text, JinjaHeap* heap) {
  WEIR_ASSIGN_OR_RETURN(const JinjaText stripped, StripText(text, std::nullopt, TextSide::kBoth, heap));
  const std::string& all = stripped.str();
  const auto is_digit = [&](size_t i) { return i < all.size() && all[i] >= '0' && all[i] <= '9'; };
  std::string plain;
  for (size_t i = 0; i < all.size(); ++i) {
    size_t next = i;
    const int32_t code_point = NextCodePoint(all, &next);
    if (code_point >= 0x80) {
      if (utf8proc_category(code_point) != UTF8PROC_CATEGORY_ND) return std::string();
      return JinjaError("int and float read ASCII digits only");
    }
    if (all[i] == '_') {
      if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) return std::string();
      continue;
    }
    if (all[i] == '+' && i == 0 && all.size() > 1 && all[1] != '-') continue;
    plain.push_back(all[i]);
  }
  return plain;
}

std::optional<double> ReadDouble(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  // Out of range, up or down: Python gives infinity or 0.
  if (error == std::errc::result_out_of_range) return std::strtod(text.c_str(), nullptr);
  if (error != std::errc()) return std::nullopt;
  return number;
}

Status Undefined(const JinjaValue& value) {
  return JinjaError(fmt::format("\"{}\" is undefined", value.Get<JinjaValue::Undefined>()->name));
}

Result<JinjaValue> Truncate(double number) {
  if (std::fabs(number) < kMaxInt) return JinjaValue::Of(static_cast<int64_t>(number));
  return JinjaError("the result of \"int\" does not fit in 64 bits");
}

}  // namespace

Result<JinjaValue> JinjaAbs(const JinjaValue& value, const JinjaArguments&, JinjaHeap*) {
  double number = 0;
  if (!value.AsDouble(&number)) return JinjaError(fmt::format("abs does not work on {}", value.kind_name()));
  int64_t integer = 0;
  if (number < 0) return JinjaNegate(value);
  if (value.AsInt(&integer)) return JinjaValue::Of(integer);
  return JinjaValue::Of(std::fabs(number));
}

Result<JinjaValue> JinjaInt(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  if (value.is_undefined()) return Undefined(value);
  int64_t integer = 0;
  const JinjaValue* base = arguments.Find(1, "base");
  if (base != nullptr && (!base->AsInt(&integer) || integer != 10))
    return JinjaError("int does not know a \"base\" other than 10");
  if (value.AsInt(&integer)) return JinjaValue::Of(integer);
  const double* real = value.Get<double>();
  if (real != nullptr && !std::isnan(*real)) return Truncate(*real);
  if (value.text() != nullptr) {
    WEIR_ASSIGN_OR_RETURN(const std::string plain, PlainNumber(*value.text(), heap));
    const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), integer);
    if (!plain.empty() && end == plain.data() + plain.size()) {
      if (error == std::errc()) return JinjaValue::Of(integer);
      return JinjaError("the result of \"int\" does not fit in 64 bits");
    }
    // A text that is a number with a fraction loses it.
    const std::optional<double> number = ReadDouble(plain);
    if (number.has_value() && std::isfinite(*number)) return Truncate(*number);
  }
  const JinjaValue* fallback = arguments.Find(0, "default");
  return fallback == nullptr ? JinjaValue::Of(int64_t{0}) : *fallback;
}

Result<JinjaValue> JinjaFloat(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap* heap) {
  if (value.is_undefined()) return Undefined(value);
  double number = 0;
  if (value.AsDouble(&number)) return JinjaValue::Of(number);
  if (value.text() != nullptr) {
    WEIR_ASSIGN_OR_RETURN(const std::string plain, PlainNumber(*value.text(), heap));
    if (const std::optional<double> read = ReadDouble(plain)) return JinjaValue::Of(*read);
  }
  const JinjaValue* fallback = arguments.Find(0, "default");
  return fallback == nullptr ? JinjaValue::Of(0.0) : *fallback;
}

// round(precision, method): whole numbers stay what they are, halves of the exact value go to the even neighbour.
Result<JinjaValue> JinjaRound(const JinjaValue& value, const JinjaArguments& arguments, JinjaHeap*) {
  int64_t precision = 0;
  if (const JinjaValue* given = arguments.Find(0, "precision")) {
    if (!given->AsInt(&precision) || precision < 0)
      return JinjaError("round needs a \"precision\" of 0 or more");
  }
  const JinjaValue* given = arguments.Find(1, "method");
  const std::string method = given == nullptr           ? "common"
                             : given->text() == nullptr ? ""
                                                        : given->text()->str();
  if (method != "common" && method != "ceil" && method != "floor")
    return JinjaError("round needs a \"method\" that is common, ceil or floor");
  double number = 0;
  int64_t integer = 0;
  if (!value.AsDouble(&number))
    return JinjaError(fmt::format("round does not work on {}", value.kind_name()));
  if (method != "common") {
    if (precision > 22) return JinjaError("round up or down needs a \"precision\" of at most 22");
    if (value.AsInt(&integer)) return JinjaValue::Of(number);
    const double scale = std::pow(10.0, static_cast<double>(precision));
    const double scaled = number * scale;
    if (!std::isfinite(scaled)) return JinjaError("round up or down of a number that is too large");
    // A whole number in Python, which has no negative zero.
    return JinjaValue::Of((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale + 0.0);
  }
  if (value.AsInt(&integer)) return JinjaValue::Of(integer);
  if (!std::isfinite(number) || precision > 323) return JinjaValue::Of(number);
  const std::string digits = fmt::format("{:.{}f}", number, static_cast<int>(precision));
  return JinjaValue::Of(std::strtod(digits.c_str(), nullptr));
}

}  // namespace weir
