// The second half of HeadGate: what a complete head says, and whether only one reading of it is possible.
#include <fmt/format.h>

#include <optional>

#include "net/http/field_syntax.h"
#include "net/http/head_gate.h"

namespace weir {

namespace {

using Refusal = std::optional<GateError>;

GateError Bad(std::string message) { return {400, "bad_request", std::move(message), {}}; }

GateError NotImplemented(std::string message) {
  return {501, "not_implemented", std::move(message), {{"x-should-retry", "false"}}};
}

std::string_view TakeLine(std::string_view& rest) {
  const size_t end = rest.find("\r\n");
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 2);
  return line;
}

Refusal ReadRequestLine(std::string_view line, HttpRequestHead& head) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last || !IsToken(line.substr(0, first))) {
    return Bad(
        fmt::format("the request line must be method, target and version, one space between them; found {}",
                    Quoted(line)));
  }
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || !is_digit(version[5]) || version[6] != '.' ||
      !is_digit(version[7])) {
    return Bad(fmt::format("the request line must end in HTTP/1.1 or HTTP/1.0, found {}", Quoted(version)));
  }
  if (version[5] != '1') {
    return GateError{505,
                     "http_version",
                     fmt::format("only HTTP/1.1 and HTTP/1.0 are spoken here, found {}", version),
                     {{"x-should-retry", "false"}}};
  }
  head.minor_version = version[7] == '0' ? 0 : 1;  // a higher minor version is served as 1.1
  return std::nullopt;
}

Refusal ReadFields(std::string_view rest, HttpRequestHead& head) {
  while (true) {
    const std::string_view line = TakeLine(rest);
    if (line.empty()) return std::nullopt;
    if (line[0] == ' ' || line[0] == '\t') return Bad("a header field is folded over two lines");
    const size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (colon == std::string_view::npos || !IsToken(name)) {
      return Bad(fmt::format("a header field must be name, colon, value; found {}", Quoted(line)));
    }
    // A proxy that maps '_' to '-' would read these as framing.
    if (EqualsIgnoreCase(name, "content_length") || EqualsIgnoreCase(name, "transfer_encoding")) {
      return Bad(fmt::format("header field {} is not allowed; write it with '-'", Quoted(name)));
    }
    const std::string_view value = TrimBlanks(line.substr(colon + 1));
    if (!IsFieldValue(value))
      return Bad(fmt::format("header field {} contains a control byte", Quoted(name)));
    head.headers.push_back({std::string(name), std::string(value)});
  }
}

struct FramingFields {
  int num_lengths = 0;
  int num_codings = 0;
  int num_hosts = 0;
  std::string_view length;
  std::string_view coding;
  std::string_view host;
};

// A coding this server lacks is 501; a value that is wrong however one reads it is 400.
GateError RefuseCoding(std::string_view value) {
  bool all_tokens = true;
  int num_elements = 0;
  bool chunked_before_end = false;
  bool last_is_chunked = false;
  std::string_view rest = value;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view element = TrimBlanks(rest.substr(0, comma));
    all_tokens = all_tokens && IsToken(element);
    chunked_before_end = chunked_before_end || last_is_chunked;
    last_is_chunked = EqualsIgnoreCase(element, "chunked");
    ++num_elements;
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  const std::string message =
      fmt::format("Transfer-Encoding must be the one word chunked, found {}", Quoted(value));
  const bool unknown = all_tokens && !chunked_before_end && (num_elements == 1 || last_is_chunked);
  return unknown ? NotImplemented(message) : Bad(message);
}

Refusal ReadLength(std::string_view text, HttpRequestHead& head) {
  constexpr size_t kMaxDigits = 18;  // fits 63 bits, and is above any limit
  bool digits = !text.empty();
  for (char c : text) digits = digits && c >= '0' && c <= '9';
  if (!digits || text.size() > kMaxDigits || (text.size() > 1 && text[0] == '0')) {
    return Bad(fmt::format("Content-Length must be one decimal number without sign or leading zero, found {}",
                           Quoted(text)));
  }
  uint64_t value = 0;
  for (char c : text) value = value * 10 + static_cast<uint64_t>(c - '0');
  head.content_length = value;
  return std::nullopt;
}

Refusal JudgeFraming(const FramingFields& fields, HttpRequestHead& head) {
  if (fields.num_codings > 0) {
    if (fields.num_lengths > 0) return Bad("the request has both Transfer-Encoding and Content-Length");
    if (head.minor_version == 0) return Bad("Transfer-Encoding is not allowed in HTTP/1.0");
    if (fields.num_codings > 1) return Bad("the request has more than one Transfer-Encoding field");
    if (!EqualsIgnoreCase(fields.coding, "chunked")) return RefuseCoding(fields.coding);
    head.chunked = true;
  }
  if (fields.num_lengths > 1) return Bad("the request has more than one Content-Length field");
  if (fields.num_lengths == 1) {
    if (Refusal refusal = ReadLength(fields.length, head)) return refusal;
  }
  if (fields.num_hosts > 1) return Bad("the request has more than one Host field");
  if (fields.num_hosts == 0 && head.minor_version == 1) return Bad("an HTTP/1.1 request needs a Host field");
  if (fields.num_hosts == 1 && !IsHostAndPort(fields.host)) {
    return Bad(fmt::format("Host must be host or host:port, found {}", Quoted(fields.host)));
  }
  return std::nullopt;
}

Refusal JudgeMethod(const HttpRequestHead& head) {
  const std::string_view method = head.method;
  if (method == "CONNECT" || method == "TRACE") {
    return GateError{405,
                     "method_not_allowed",
                     fmt::format("{} is not served", method),
                     {{"Allow", "GET, HEAD, POST, OPTIONS"}}};
  }
  for (std::string_view known : {"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"}) {
    if (method == known) {
      const bool bodiless = method == "GET" || method == "HEAD" || method == "OPTIONS";
      if (bodiless && (head.chunked || head.content_length.value_or(0) > 0)) {
        return Bad(fmt::format("a {} request must not have a body", method));
      }
      return std::nullopt;
    }
  }
  return NotImplemented(fmt::format("unknown method {}", Quoted(method)));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsPathAndQuery(std::string_view text) {
  constexpr std::string_view kPunctuation = "-._~!$&'()*+,;=:@/?";
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return false;
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return false;
      const int byte = high * 16 + low;
      if (byte == 0 || byte == '\r' || byte == '\n') return false;
      i += 2;
      continue;
    }
    const bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alnum && kPunctuation.find(c) == std::string_view::npos) return false;
  }
  return true;
}

Refusal JudgeTarget(std::string_view host, HttpRequestHead& head) {
  const GateError refusal = Bad(fmt::format("the request target {} is not a path", Quoted(head.target)));
  std::string_view rest = head.target;
  if (rest == "*") {
    if (head.method != "OPTIONS") return refusal;
    head.path = "*";
    return std::nullopt;
  }
  constexpr std::string_view kScheme = "http://";
  if (rest.size() > kScheme.size() && EqualsIgnoreCase(rest.substr(0, kScheme.size()), kScheme)) {
    rest.remove_prefix(kScheme.size());
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
    if (host.empty() || !EqualsIgnoreCase(authority, host)) {
      return Bad(fmt::format("the authority of the target {} differs from Host {}", Quoted(head.target),
                             Quoted(host)));
    }
    rest.remove_prefix(authority.size());
    if (rest.empty() || rest[0] == '?') head.path = "/";
  } else if (rest.empty() || rest[0] != '/') {
    return refusal;
  }
  if (!IsPathAndQuery(rest)) return refusal;
  const size_t question = rest.find('?');
  if (head.path.empty()) head.path = rest.substr(0, question);
  if (question != std::string_view::npos) head.query = rest.substr(question + 1);
  return std::nullopt;
}

}  // namespace

std::variant<GatedHead, GateError> HeadGate::Judge(std::string_view bytes) {
  GatedHead gated;
  HttpRequestHead& head = gated.head;
  if (bytes.substr(0, 2) == "\r\n") bytes.remove_prefix(2);
  if (Refusal refusal = ReadRequestLine(TakeLine(bytes), head)) return *std::move(refusal);
  if (Refusal refusal = ReadFields(bytes, head)) return *std::move(refusal);
  FramingFields fields;
  bool close = false;
  bool keep = false;
  bool other_expectation = false;
  for (const HttpHeader& field : head.headers) {
    if (EqualsIgnoreCase(field.name, "content-length")) {
      ++fields.num_lengths;
      fields.length = field.value;
    } else if (EqualsIgnoreCase(field.name, "transfer-encoding")) {
      ++fields.num_codings;
      fields.coding = field.value;
    } else if (EqualsIgnoreCase(field.name, "host")) {
      ++fields.num_hosts;
      fields.host = field.value;
    } else if (EqualsIgnoreCase(field.name, "connection")) {
      close = close || ListHasToken(field.value, "close");
      keep = keep || ListHasToken(field.value, "keep-alive");
    } else if (EqualsIgnoreCase(field.name, "expect")) {
      const bool known = EqualsIgnoreCase(field.value, "100-continue");
      other_expectation = other_expectation || !known;
      gated.expect_continue = true;
    }
  }
  if (Refusal refusal = JudgeFraming(fields, head)) return *std::move(refusal);
  if (Refusal refusal = JudgeMethod(head)) return *std::move(refusal);
  if (Refusal refusal = JudgeTarget(fields.host, head)) return *std::move(refusal);
  if (other_expectation) {
    return GateError{417, "expectation_failed", "the only expectation served is 100-continue", {}};
  }
  if (head.minor_version == 0) gated.expect_continue = false;
  gated.keep_alive = !close && (head.minor_version == 1 || keep);
  return gated;
}

}  // namespace weir
