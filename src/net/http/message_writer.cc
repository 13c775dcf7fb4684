#include "net/http/message_writer.h"

#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <utility>

#include "net/http/field_syntax.h"

namespace weir {

namespace {

namespace http = boost::beast::http;

constexpr size_t kMaxFieldBytes = 32 << 10;  // far below what Beast would throw at

void Insert(http::fields& fields, std::string_view name, std::string_view value) {
  if (!IsToken(name) || !IsFieldValue(value) || name.size() + value.size() > kMaxFieldBytes) return;
  fields.insert(name, value);
}

template <class Buffers>
size_t Append(const Buffers& buffers, std::string& out) {
  const size_t before = out.size();
  for (const boost::asio::const_buffer buffer : boost::beast::buffers_range_ref(buffers)) {
    out.append(static_cast<const char*>(buffer.data()), buffer.size());
  }
  return out.size() - before;
}

template <bool kIsRequest>
void Append(http::message<kIsRequest, http::string_body>& message, bool with_body, std::string& out) {
  http::serializer<kIsRequest, http::string_body> serializer(message);
  serializer.split(!with_body);
  boost::beast::error_code error;
  do {
    serializer.next(error, [&](auto&, const auto& buffers) { serializer.consume(Append(buffers, out)); });
  } while (!error && !serializer.is_done() && (with_body || !serializer.is_header_done()));
}

}  // namespace

void AppendResponse(HttpResponse response, const ResponseFraming& framing, std::string_view date,
                    std::string& out) {
  http::response<http::string_body> message;
  message.result(static_cast<unsigned>(response.status));
  Insert(message, "Date", date);
  Insert(message, "Server", "weir");
  const bool has_body = response.status != 204 && response.status != 304;
  if (has_body && !response.content_type.empty()) Insert(message, "Content-Type", response.content_type);
  for (const HttpHeader& header : response.headers) Insert(message, header.name, header.value);
  if (has_body && framing.content_length) {
    message.content_length(*framing.content_length);
  } else if (has_body && framing.chunked) {
    message.chunked(true);
  }
  if (framing.close) {
    message.keep_alive(false);
  } else if (framing.say_keep_alive) {
    message.set(http::field::connection, "keep-alive");
  }
  message.body() = std::move(response.body);
  Append(message, has_body && framing.with_body, out);
}

void AppendChunk(std::string_view data, std::string& out) {
  Append(http::make_chunk(boost::asio::const_buffer(data.data(), data.size())), out);
}

void AppendLastChunk(std::string& out) { Append(http::make_chunk_last(), out); }

std::string RequestBytes(const ClientRequest& request, std::string body, std::string_view host) {
  http::request<http::string_body> message;
  message.method_string(request.method);
  message.target(request.path.empty() ? "/" : request.path);
  Insert(message, "Host", host);
  for (const HttpHeader& header : request.headers) Insert(message, header.name, header.value);
  if (!body.empty() || (request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS")) {
    message.content_length(body.size());
  }
  Insert(message, "Connection", "keep-alive");
  message.body() = std::move(body);
  std::string bytes;
  bytes.reserve(256 + message.body().size());
  Append(message, true, bytes);
  return bytes;
}

}  // namespace weir
