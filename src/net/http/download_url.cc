#include "net/http/download_url.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <memory>

#include "base/utf8.h"
#include "net/http/download.h"

namespace weir {
namespace {

using Handle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

std::string Part(CURLU* url, CURLUPart part, unsigned int flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string out = text;
  curl_free(text);
  return out;
}

}  // namespace

Result<DownloadUrl> DownloadUrl::Parse(const std::string& text) {
  const std::string before_query = text.substr(0, text.find_first_of("?#"));
  const auto bad = [&](const std::string& what) {
    return InvalidArgument(fmt::format("URL {}: {}; expected https://HOST/PATH, http://... or file:///PATH",
                                       QuoteForMessage(before_query, 200), what));
  };
  const Handle url(curl_url(), &curl_url_cleanup);
  if (url == nullptr) return ResourceExhausted("no memory for a URL");
  if (const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0); code != CURLUE_OK)
    return bad(curl_url_strerror(code));
  DownloadUrl out;
  out.scheme = Part(url.get(), CURLUPART_SCHEME, 0);
  if (out.scheme != "http" && out.scheme != "https" && out.scheme != "file")
    return bad(fmt::format("scheme {}", QuoteForMessage(out.scheme)));
  if (!Part(url.get(), CURLUPART_USER, 0).empty() || !Part(url.get(), CURLUPART_PASSWORD, 0).empty())
    return InvalidArgument("the URL holds a user name or password; leave them out and give a token instead");
  out.host = Part(url.get(), CURLUPART_HOST, 0);
  for (char& c : out.host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  out.port = Part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  out.path = Part(url.get(), CURLUPART_PATH, CURLU_URLDECODE);
  if (out.path.empty()) return bad("the path is malformed");
  out.shown = QuoteForMessage(before_query, 200);
  return out;
}

bool DownloadUrl::is_loopback() const {
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

Result<std::string> FileNameOfUrl(const std::string& url) {
  WEIR_ASSIGN_OR_RETURN(const DownloadUrl parsed, DownloadUrl::Parse(url));
  const std::string name = parsed.path.substr(parsed.path.rfind('/') + 1);
  bool is_plain = !name.empty() && name.front() != '.' && name.size() <= 200;
  for (const char c : name)
    is_plain = is_plain && static_cast<unsigned char>(c) > 0x20 && c != 0x7f && c != '\\';
  if (is_plain) return name;
  return InvalidArgument(
      fmt::format("URL {}: its last part cannot name a file; give a name with --output", parsed.shown));
}

}  // namespace weir
