#include "perf/workload/lengths.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace weir {
namespace {

constexpr double kMost = 1e6;

bool ReadNumber(std::string_view text, double* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(*out);
}

}  // namespace

int LengthSpec::Draw(Rng* rng) const {
  double value = a;
  if (kind == Kind::kUniform) {
    value = a + static_cast<double>(rng->NextBelow(static_cast<uint64_t>(b - a) + 1));
  } else if (kind == Kind::kLogNormal) {
    value = std::round(a * std::exp(b * rng->NextNormal()));
  }
  return static_cast<int>(std::clamp(value, 1.0, kMost));
}

Result<LengthSpec> ParseLength(std::string_view text) {
  LengthSpec out;
  const Status wrong =
      InvalidArgument(fmt::format("'{}' is no length; expected a number of tokens, uniform:LEAST:MOST or "
                                  "lognormal:MEDIAN:DEVIATION",
                                  text));
  const size_t first = text.find(':');
  if (first == std::string_view::npos) {
    if (!ReadNumber(text, &out.a) || out.a < 1 || out.a > kMost || out.a != std::floor(out.a)) return wrong;
    return out;
  }
  const std::string_view name = text.substr(0, first), rest = text.substr(first + 1);
  const size_t second = rest.find(':');
  if (second == std::string_view::npos || !ReadNumber(rest.substr(0, second), &out.a) ||
      !ReadNumber(rest.substr(second + 1), &out.b) || out.a < 1 || out.a > kMost)
    return wrong;
  if (name == "uniform") {
    out.kind = LengthSpec::Kind::kUniform;
    if (out.b < out.a || out.b > kMost) return wrong;
  } else if (name == "lognormal") {
    out.kind = LengthSpec::Kind::kLogNormal;
    if (out.b < 0 || out.b > 5) return wrong;
  } else {
    return wrong;
  }
  return out;
}

}  // namespace weir
