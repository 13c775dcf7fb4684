#include <fmt/format.h>

#include "net/http/client.h"
#include "net/http/field_syntax.h"

namespace weir {

Result<Url> Url::Parse(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  const auto fail = [&](std::string_view what) {
    return InvalidArgument(fmt::format("URL {}: {}; expected http://host[:port][/path]", Quoted(text), what));
  };
  if (text.size() < kScheme.size() || !EqualsIgnoreCase(text.substr(0, kScheme.size()), kScheme)) {
    return fail(text.starts_with("https:") ? "https is not supported" : "it does not begin with http://");
  }
  const std::string_view rest = text.substr(kScheme.size());
  const size_t slash = rest.find('/');
  const std::string_view authority = rest.substr(0, slash);
  if (!IsHostAndPort(authority)) return fail("host or port is malformed");
  Url url;
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  url.host = authority.substr(0, colon);
  if (bracket != std::string_view::npos) url.host = url.host.substr(1, bracket - 1);
  if (colon != std::string_view::npos) {
    url.port = 0;
    for (char c : authority.substr(colon + 1)) url.port = url.port * 10 + (c - '0');
    if (url.port == 0) return fail("port 0 cannot be connected to");
  }
  std::string_view path = slash == std::string_view::npos ? "/" : rest.substr(slash);
  for (char c : path) {
    if (c <= 0x20 || c == 0x7f || c == '#' || c == '?')
      return fail("the path has a blank, a query or a fragment");
  }
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  url.path = path;
  return url;
}

}  // namespace weir
