#include "server/deadline_headers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "base/utf8.h"

namespace weir {
namespace {

constexpr double kLeastSeconds = 0.001;
constexpr double kMostSeconds = 3600;

std::optional<double> ParseNumber(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool IsUsable(double seconds) { return seconds >= kLeastSeconds && seconds <= kMostSeconds; }

Result<std::optional<Duration>> ReadMilliseconds(const HttpRequestHead& head, const char* name) {
  const std::string* text = head.Find(name);
  if (text == nullptr) return std::optional<Duration>();
  const std::optional<double> ms = ParseNumber(*text);
  if (!ms || !IsUsable(*ms / 1000)) {
    return InvalidArgument(fmt::format("header {} is \"{}\", expected milliseconds from 1 to 3600000", name,
                                       QuoteForMessage(*text)))
        .WithReason("invalid_header");
  }
  return std::optional<Duration>(FromSeconds(*ms / 1000));
}

std::optional<Duration> ReadSdkSeconds(const HttpRequestHead& head) {
  for (const char* name : {"X-Stainless-Read-Timeout", "X-Stainless-Timeout"}) {
    const std::string* text = head.Find(name);
    if (text == nullptr) continue;
    const std::optional<double> seconds = ParseNumber(*text);
    if (seconds && IsUsable(*seconds)) return FromSeconds(*seconds);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Duration> ClientDeadlines::FirstTokenBudget() const {
  std::optional<Duration> least;
  for (const std::optional<Duration>& one : {total, first_token, sdk}) {
    if (one) least = std::min(least.value_or(*one), *one);
  }
  return least;
}

Result<ClientDeadlines> ReadDeadlines(const HttpRequestHead& head) {
  ClientDeadlines out;
  WEIR_ASSIGN_OR_RETURN(out.total, ReadMilliseconds(head, "x-request-timeout-ms"));
  WEIR_ASSIGN_OR_RETURN(out.first_token, ReadMilliseconds(head, "x-slo-ttft-ms"));
  out.sdk = ReadSdkSeconds(head);
  return out;
}

}  // namespace weir
