#include "net/http/download_head.h"

#include <charconv>

#include "net/http/field_syntax.h"

namespace weir {
namespace {

std::optional<int64_t> ToNumber(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

void DownloadHead::TakeLine(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    *this = DownloadHead();
    const size_t blank = line.find(' ');
    if (blank != std::string_view::npos) status = ToNumber(line.substr(blank + 1, 3)).value_or(0);
    return;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view name = line.substr(0, colon);
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  if (EqualsIgnoreCase(name, "etag")) etag = value;
  if (EqualsIgnoreCase(name, "last-modified")) last_modified = value;
  if (EqualsIgnoreCase(name, "content-encoding")) encoding = value;
  if (EqualsIgnoreCase(name, "content-length")) length = ToNumber(value);
  if (EqualsIgnoreCase(name, "retry-after")) retry_after_s = ToNumber(value);
  if (EqualsIgnoreCase(name, "content-range") && value.starts_with("bytes ")) {
    value.remove_prefix(6);
    range_first = ToNumber(value.substr(0, value.find('-')));
    if (const size_t slash = value.find('/'); slash != std::string_view::npos)
      range_total = ToNumber(value.substr(slash + 1));
  }
}

std::string DownloadHead::Validator() const {
  return !etag.empty() && !etag.starts_with("W/") ? etag : etag.empty() ? last_modified : "";
}

}  // namespace weir
