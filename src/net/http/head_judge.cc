// The second half of HeadGate: whether only one reading is possible of what the head says.
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

Refusal JudgeLength(std::string_view text) {
  constexpr size_t kMaxDigits = 18;  // fits 63 bits, and is above any limit
  bool digits = !text.empty();
  for (char c : text) digits = digits && c >= '0' && c <= '9';
  if (!digits || text.size() > kMaxDigits || (text.size() > 1 && text[0] == '0')) {
    return Bad(fmt::format("Content-Length must be one decimal number without sign or leading zero, found {}",
                           Quoted(text)));
  }
  return std::nullopt;
}

Refusal JudgeFraming(const FramingFields& fields, const HttpRequestHead& head) {
  if (fields.num_codings > 0) {
    if (fields.num_lengths > 0) return Bad("the request has both Transfer-Encoding and Content-Length");
    if (head.minor_version == 0) return Bad("Transfer-Encoding is not allowed in HTTP/1.0");
    if (fields.num_codings > 1) return Bad("the request has more than one Transfer-Encoding field");
    if (!EqualsIgnoreCase(fields.coding, "chunked")) return RefuseCoding(fields.coding);
  }
  if (fields.num_lengths > 1) return Bad("the request has more than one Content-Length field");
  if (fields.num_lengths == 1) {
    if (Refusal refusal = JudgeLength(fields.length)) return refusal;
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

std::optional<GateError> HeadGate::Judge(GatedHead& gated) {
  HttpRequestHead& head = gated.head;
  FramingFields fields;
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
    } else if (EqualsIgnoreCase(field.name, "expect")) {
      const bool known = EqualsIgnoreCase(field.value, "100-continue");
      other_expectation = other_expectation || !known;
      gated.expect_continue = true;
    } else if (EqualsIgnoreCase(field.name, "content_length") ||
               EqualsIgnoreCase(field.name, "transfer_encoding")) {
      // A proxy that maps '_' to '-' would read these as framing.
      return Bad(fmt::format("header field {} is not allowed; write it with '-'", Quoted(field.name)));
    }
  }
  if (Refusal refusal = JudgeFraming(fields, head)) return refusal;
  if (Refusal refusal = JudgeMethod(head)) return refusal;
  if (Refusal refusal = JudgeTarget(fields.host, head)) return refusal;
  if (other_expectation) {
    return GateError{417, "expectation_failed", "the only expectation served is 100-continue", {}};
  }
  if (head.minor_version == 0) gated.expect_continue = false;
  return std::nullopt;
}

}  // namespace weir
